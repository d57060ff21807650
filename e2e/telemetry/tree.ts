import type { ExportedSpan } from './otlp.ts';

/** The spans of a trace below each other, those that began first above. */
export function printTrace(spans: readonly ExportedSpan[]): string {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const roots = spans.filter(({ parentId }) => !ids.has(parentId));
  const [first] = inOrder(roots);
  const zero = first?.startNs ?? 0n;
  const lines = (below: readonly ExportedSpan[], indent: string): string[] =>
    inOrder(below).flatMap((span, at, all) => {
      const isLast = at === all.length - 1;
      const children = spans.filter(({ parentId }) => parentId === span.spanId);
      const line = `${indent}${isLast ? '└─' : '├─'} ${span.service.replace(/^roost-/, '')}: ${span.name}`;
      const when = `${milliseconds(span.startNs - zero)} + ${milliseconds(span.endNs - span.startNs)} ms`;
      return [
        `${line.padEnd(84)} ${when}`,
        ...lines(children, `${indent}${isLast ? '   ' : '│  '}`),
      ];
    });
  return lines(roots, '').join('\n');
}

/** Spans by their trace, the fullest first. */
export function traces(spans: readonly ExportedSpan[]): ExportedSpan[][] {
  const all = [...Map.groupBy(spans, ({ traceId }) => traceId).values()];
  return all.toSorted((a, b) => b.length - a.length);
}

function inOrder(spans: readonly ExportedSpan[]): ExportedSpan[] {
  return spans.toSorted((a, b) => Number(a.startNs - b.startNs));
}

function milliseconds(ns: bigint): string {
  return (Number(ns) / 1_000_000).toFixed(1).padStart(5);
}
