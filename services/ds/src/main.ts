import { runProgram } from '@roost/service/process';
import { programOf } from './process.ts';

await runProgram(programOf(), process.argv.slice(2), process.env);
