/** Who is measured: one step of the same work, waited for. */

export interface Contender {
  readonly name: string;
  step(): Promise<void>;
  dispose(): void;
}

/** Makes one, or throws with the reason why it cannot run the case. */
export type Make = () => Promise<Contender>;

export interface Case {
  readonly name: string;
  /** Of one step. */
  readonly flops: number;
  readonly contenders: Readonly<Record<string, Make>>;
}

const ROUNDS = 5;
/** Compiling included; what takes longer has hung. */
const FIRST_STEP_MS = 20_000;

/** Median milliseconds of each, a step of every one in turn; or why it has none. The first round is not counted. */
export async function alternate({ contenders }: Case): Promise<Readonly<Record<string, number | string>>> {
  const results: Record<string, number | string> = {};
  const able: Contender[] = [];
  for (const [name, make] of Object.entries(contenders)) {
    try {
      const contender = await make();
      await within(FIRST_STEP_MS, contender.step());
      able.push(contender);
    } catch (error) {
      results[name] = (error as Error).message.split('\n')[0]!.slice(0, 160);
    }
  }
  const times = new Map(able.map((contender) => [contender.name, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const contender of able) {
      const start = performance.now();
      await contender.step();
      times.get(contender.name)!.push(performance.now() - start);
    }
  }
  for (const [name, all] of times) results[name] = all.sort((a, b) => a - b)[all.length >> 1]!;
  for (const contender of able) contender.dispose();
  return results;
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`no result within ${ms / 1000} s`)), ms).unref();
  });
  await Promise.race([work, late]);
}
