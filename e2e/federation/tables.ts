// The tables of README.md, from what the tests run by: `node e2e/federation/tables.ts` writes them anew.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ADVISORIES } from './advisories.ts';
import { SHOWN } from './shown.ts';
import { refusalOf, SPOOFS } from './spoofs.ts';
import { WAYS } from './ways.ts';

const README = join(import.meta.dirname, 'README.md');

/** Between these two lines of README.md. */
const MARKS = { begin: '<!-- tables -->', end: '<!-- end of tables -->' };

export function printTables(): string {
  const [call] = WAYS.filter(({ kind }) => kind === 'call');
  const [delivery] = WAYS.filter(({ kind }) => kind === 'group');
  if (call === undefined || delivery === undefined)
    throw new Error('there are calls and deliveries');
  const spoofs = SPOOFS.map((spoof, at) => {
    const ways = WAYS.filter(spoof.by ?? (() => true));
    const heard = [call, delivery].map((way) => {
      const { reason, flaw } = refusalOf(way, spoof);
      return flaw === undefined ? reason : `${reason} ${flaw}`;
    });
    const kept = spoof.isRecorded === true ? 'the record' : 'nothing';
    return row([at + 1, spoof.name, ...heard, kept, `${ways.length} of ${ways.length}`]);
  });
  const advisories = ADVISORIES.map(({ ids, what, guard, tests, besides }) => {
    const files = new Set(tests.map(([file]) => `\`${file}\``));
    const where = [...files, ...(besides === undefined ? [] : [besides])].join(', ');
    return row([ids, what, guard, where]);
  });
  return [
    `### The spoof matrix: ${SPOOFS.length} cases by ${WAYS.length} ways`,
    '',
    `Ways: ${WAYS.map(({ name }) => name).join(', ')}.`,
    '',
    row(['', 'what is said', 'a call hears', 'a delivery hears', 'kept of it', 'refused by']),
    row(['---', '---', '---', '---', '---', '---']),
    ...spoofs,
    '',
    `### Certificates: ${SHOWN.length} cases by a call and a delivery, with and without a claim`,
    '',
    row(['what is shown', 'where they are preferred', 'where they are required']),
    row(['---', '---', '---']),
    ...SHOWN.map(({ name, preferred, required }) => row([name, preferred, required])),
    '',
    `### Advisories of Matrix: ${ADVISORIES.length} rows`,
    '',
    row(['advisory', 'what happened there', 'what holds here', 'tried in']),
    row(['---', '---', '---', '---']),
    ...advisories,
  ].join('\n');
}

/** README.md with the tables as they are. */
export function withTables(text: string): string {
  const [begin, end] = [text.indexOf(MARKS.begin), text.indexOf(MARKS.end)];
  if (begin < 0 || end < begin) throw new Error('README.md has a place for the tables');
  return `${text.slice(0, begin)}${MARKS.begin}\n\n${printTables()}\n\n${text.slice(end)}`;
}

export const readReadme = (): string => readFileSync(README, 'utf8');

function row(cells: readonly (string | number)[]): string {
  return `| ${cells.join(' | ')} |`;
}

if (import.meta.main) writeFileSync(README, withTables(readReadme()));
