import { SECOND_MS, sleep } from '@roost/core/time';
import type { FaultPoint } from '@roost/ds/desk';
import type { Fault } from '../fault.ts';

/** Between which two steps of its work it dies. */
const POINTS: readonly (readonly [FaultPoint, string])[] = [
  ['accept.statement', 'in the middle of a transaction'],
  ['accept.decided', 'before its COMMIT'],
  ['accept.durable', 'between its COMMIT and its answer'],
  ['dispatch.read', 'with a batch in hand'],
  ['dispatch.answered', 'between the answer of the QS and the deletion of what was sent'],
  ['dispatch.deleted', 'when all is done'],
];
/** Not at the first time: then nothing else is under way. */
const AT = 6;

function dieAt([point, where]: (typeof POINTS)[number]): Fault {
  return {
    name: `kill at ${point}`,
    about: `a DS dies ${where}, again and again`,
    isQuick: point === 'accept.durable',
    async strike(site) {
      for (const process of site.home.of('ds')) {
        await process.stop();
        await process.start({ ROOST_DOOM: `${point}:${AT}` });
        const patience = sleep(15 * SECOND_MS).then(() => 'nothing');
        const end = await Promise.race([process.ended(), patience]);
        site.promise(end === 'SIGKILL', `${process.name} died at ${point}, not by ${end}`);
        await process.stop();
        await process.start();
      }
    },
  };
}

export const points: readonly Fault[] = POINTS.map(dieAt);
