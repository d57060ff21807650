import {
  type Attributes,
  type Counter,
  type Histogram,
  metrics,
  type Observable,
  type ObservableResult,
} from '@opentelemetry/api';
import { Failure } from '@roost/core/failure';

/** Every value that a label may have: anything else counts as `other`, so that no label grows. */
export type Labels = Readonly<Record<string, readonly string[]>>;

type Values<L extends Labels> = { readonly [name in keyof L]: string };

/** Counts: `count(labels)` or `count(labels, n)`. Each series begins at 0, so that the first is seen. */
export function counter<L extends Labels = Readonly<Record<string, never>>>(
  name: string,
  help: string,
  labels?: L,
): (values: Values<L>, n?: number) => void {
  const instrument: Counter = metrics.getMeter(METER).createCounter(name, { description: help });
  const known = labels ?? {};
  for (const series of allSeries(known)) instrument.add(0, series);
  return (values, n = 1) => {
    if (n > 0) instrument.add(n, bounded(known, values));
  };
}

/** Measures how long something takes, or how large it is. */
export function histogram<L extends Labels = Readonly<Record<string, never>>>(
  name: string,
  help: string,
  { boundaries, labels }: { readonly boundaries: readonly number[]; readonly labels?: L },
): (value: number, values: Values<L>) => void {
  const instrument: Histogram = metrics.getMeter(METER).createHistogram(name, {
    description: help,
    advice: { explicitBucketBoundaries: [...boundaries] },
  });
  const known = labels ?? {};
  return (value, values) => instrument.record(value, bounded(known, values));
}

export type Observe = (value: number, labels?: Readonly<Record<string, string>>) => void;

/** A number that is read when somebody asks for it. What cannot be read is left out. */
export function gauge(
  name: string,
  help: string,
  read: (observe: Observe) => void | Promise<void>,
): Disposable {
  return observing(
    metrics.getMeter(METER).createObservableGauge(name, { description: help }),
    read,
  );
}

/** The same for a number that only grows. */
export function runningTotal(
  name: string,
  help: string,
  read: (observe: Observe) => void | Promise<void>,
): Disposable {
  const meter = metrics.getMeter(METER);
  return observing(meter.createObservableCounter(name, { description: help }), read);
}

const METER = '@roost/service';

function observing(
  instrument: Observable,
  read: (observe: Observe) => void | Promise<void>,
): Disposable {
  const callback = async (result: ObservableResult): Promise<void> => {
    try {
      await read((value, labels = {}) => result.observe(value, labels));
    } catch (error) {
      // The database is away: its gauges are missing, and what counts says why.
      if (!(error instanceof Failure)) throw error;
    }
  };
  instrument.addCallback(callback);
  return { [Symbol.dispose]: () => instrument.removeCallback(callback) };
}

function bounded(labels: Labels, values: Readonly<Record<string, string>>): Attributes {
  const attributes: Attributes = {};
  for (const name in labels) {
    const value = values[name] ?? OTHER;
    attributes[name] = labels[name]?.includes(value) === true ? value : OTHER;
  }
  return attributes;
}

const OTHER = 'other';

/** Every combination of values. */
function allSeries(labels: Labels): Attributes[] {
  let series: Attributes[] = [{}];
  for (const [name, values] of Object.entries(labels)) {
    series = series.flatMap((each) => values.map((value) => ({ ...each, [name]: value })));
  }
  return series;
}
