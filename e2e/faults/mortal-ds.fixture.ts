// The DS's own program, but that it dies by SIGKILL where ROOST_DOOM says: `<point>:<n>`, at the n-th time
// that it gets to this point.
import type { FaultPoint } from '@roost/ds/desk';
import { programOf } from '@roost/ds/process';
import { runProgram } from '@roost/service/process';

const [doom, count] = (process.env['ROOST_DOOM'] ?? '').split(':');
let left = Number(count);

function faults(point: FaultPoint): void {
  if (point === doom && --left <= 0) process.kill(process.pid, 'SIGKILL');
}

await runProgram(programOf(faults), process.argv.slice(2), process.env);
