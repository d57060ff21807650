import { expect, test } from '@jest/globals';
import { checkSections, decodeSections, encodeSections } from './sections.ts';

const section = (type: number, bytes = 10) => ({ type, sealed: new Uint8Array(bytes).fill(type) });

test('a request has its identity in front, an answer is alone', () => {
  expect(() => checkSections([section(1), section(3)])).not.toThrow();
  expect(() => checkSections([section(8)])).not.toThrow();
});

test.each([
  ['no section', []],
  ['no identity', [section(3)]],
  ['the identity behind', [section(3), section(1)]],
  ['an answer with more', [section(8), section(3)]],
  ['an answer behind a request', [section(1), section(8)]],
  ['one type twice', [section(1), section(3), section(3)]],
  ['an unknown type', [section(1), section(77)]],
  ['an empty section', [section(1, 0)]],
  ['a section that is too long', [section(1, 65_537)]],
])('%s is refused', (_, sections) => {
  expect(() => checkSections(sections)).toThrow('sections');
});

test('sections are kept as they came', () => {
  const sections = [section(1, 60_000), section(3)];
  expect(decodeSections(encodeSections(sections))).toEqual(sections);
});
