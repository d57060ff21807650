import { systemClock } from '@roost/core/time';
import { Caller, type Purse, type Services, SkewedClock } from './calls.ts';

/** What each service answers, by method; what is not there is not asked for. */
interface Answers {
  readonly authentication: Partial<Services['authentication']>;
  readonly delivery: Partial<Services['delivery']>;
}

/** Makes calls that cost nothing, at services that a test answers for. */
export function callerOver(answers: Answers): Caller {
  return new Caller({
    services: answers as Services,
    purse: {} as Purse,
    clock: new SkewedClock(systemClock),
    closing: new AbortController().signal,
  });
}
