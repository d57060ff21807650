import { type Cluster, until } from './kubectl.ts';
import type { Options } from './options.ts';
import { ProbePod } from './pods.ts';

/** Its name, too, is what it goes by among the pods of the release. */
export const LOAD = 'roost-load';

/** Users who write to each other. */
export class LoadPod {
  readonly #pod: ProbePod;

  constructor(cluster: Cluster) {
    this.#pod = new ProbePod(cluster, LOAD);
  }

  async start({ image, pairs, everyMs }: Options): Promise<string> {
    await this.#pod.start(image, ['load', String(pairs), String(everyMs)]);
    await this.#pod.says('write to each other', 300_000);
    return await this.lastLine();
  }

  async lastLine(): Promise<string> {
    return (await this.#pod.log()).trim().split('\n').at(-1) ?? '';
  }

  /** Nothing more is sent; what is under way comes. The last lines, or what is wrong. */
  async finish(): Promise<string> {
    await this.#pod.runs("process.kill(1, 'SIGTERM')");
    await until('the load has ended', 400_000, async () =>
      (await this.#pod.hasEnded()) ? true : undefined,
    );
    const lines = (await this.#pod.log()).trim().split('\n').slice(-3).join('\n');
    if (!lines.includes('everything that was sent came')) throw new Error(lines);
    return lines;
  }
}
