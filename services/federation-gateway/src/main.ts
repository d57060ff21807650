import { runProgram } from '@roost/service/process';
import { program } from './process.ts';

await runProgram(program, process.argv.slice(2), process.env);
