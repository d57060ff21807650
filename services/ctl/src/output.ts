/** What a command has to say: to people in lines, to machines in one value. */
export interface Told {
  readonly text: string;
  readonly json: unknown;
}

/** Columns below each other, wide enough for what is in them; numbers to the right. */
export function table(
  header: readonly string[],
  rows: readonly (readonly (string | number | bigint)[])[],
): string {
  const texts = [header, ...rows.map((row) => row.map(String))];
  const widths = header.map((_, at) => Math.max(...texts.map((row) => (row[at] ?? '').length)));
  const isNumber = header.map(
    (_, at) => rows.length > 0 && rows.every((row) => typeof row[at] !== 'string'),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) =>
        isNumber[at] === true ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return texts.map((row) => `${line(row)}\n`).join('');
}

/** A value as machines read it: times stay ms since 1970, bytes become hex, whole numbers numbers. */
export function jsonOf(value: unknown): string {
  return JSON.stringify(
    value,
    (_, each: unknown) => {
      if (typeof each === 'bigint') {
        return each <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(each) : String(each);
      }
      return each;
    },
    2,
  );
}

/** `2026-11-21 16:20:05Z`; `-` for never. */
export function time(ms: bigint | number): string {
  return Number(ms) === 0
    ? '-'
    : `${new Date(Number(ms)).toISOString().slice(0, 19)}Z`.replace('T', ' ');
}

/** `3 d 4 h`, `5 m 12 s`: the two largest units. */
export function span(ms: bigint | number): string {
  let left = Math.floor(Math.max(0, Number(ms)) / 1_000);
  const parts = UNITS.flatMap(([unit, seconds]) => {
    const count = Math.floor(left / seconds);
    left -= count * seconds;
    return count > 0 ? [`${count} ${unit}`] : [];
  });
  return parts.length === 0 ? '0 s' : parts.slice(0, 2).join(' ');
}

/** `1.5 MiB`. */
export function size(bytes: bigint | number): string {
  let value = Number(bytes);
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (value < 1_024) return `${Number.isInteger(value) ? value : value.toFixed(1)} ${unit}`;
    value /= 1_024;
  }
  return `${value.toFixed(1)} TiB`;
}

export function yesNo(is: boolean): string {
  return is ? 'yes' : 'no';
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
] as const;
