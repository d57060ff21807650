// What has hit other federations, and where each of them is tried here.
export interface Advisory {
  readonly ids: string;
  readonly what: string;
  /** What holds here, in a sentence. */
  readonly guard: string;
  /** A file of this folder and a test of it; `spoofs` and `hostile` are tables of many. */
  readonly tests: readonly (readonly [file: string, test: string])[];
  /** Where a story outside of this folder says it. */
  readonly besides?: string;
}

const MATRIX = ['spoofs.pg.test.ts', 'every way in is tried, and each of them is one'] as const;
const TRAPS = [
  'hostile.pg.test.ts',
  'who is looked for and shows %s is not found, and not looked for again',
] as const;
const here = (test: string) => ['advisories.pg.test.ts', test] as const;

export const ADVISORIES: readonly Advisory[] = [
  {
    ids: 'CVE-2018-10657',
    what: 'events of depth 2^63−1 made rooms unusable',
    guard: 'numbers have a range; a mark is of one group of one hub, and moves nothing else',
    tests: [
      here('numbers beyond all counting do no harm, in any request'),
      here('numbers beyond all counting move nothing but the mark of the group that has them'),
    ],
  },
  {
    ids: 'CVE-2019-18835',
    what: 'the signer of some methods was not checked',
    guard: 'the spoof matrix, by every method of the table',
    tests: [MATRIX],
  },
  {
    ids: 'CVE-2020-26257',
    what: 'another room in the path than in the body',
    guard: 'the group of the body is that of the envelope, and at the homeserver that it is for',
    tests: [['spoofs.ts', 'a tag of another group than it names'], MATRIX],
  },
  {
    ids: 'CVE-2021-21273, CVE-2021-21392',
    what: 'requests to inner addresses, also in IPv6 forms of them',
    guard: 'every address of a name is judged, and what was judged is connected to',
    tests: [
      ['hostile.pg.test.ts', 'a name of a metadata address'],
      ['hostile.pg.test.ts', 'a name that leads inside at the second look is not connected to'],
      TRAPS,
    ],
    besides: '48 addresses in `libs/federation/src/address.test.ts`',
  },
  {
    ids: 'CVE-2021-21274',
    what: 'a well-known document without end',
    guard: 'read up to 50 KiB and for 5 s',
    tests: [['hostile.pg.test.ts', 'a directory of 10 GB'], TRAPS],
  },
  {
    ids: 'CVE-2021-41281',
    what: 'paths made of ids',
    guard: 'ids are 16 bytes and a domain, or refused before anything is asked',
    tests: [here('ids that are none are refused by every method, whatever is in them')],
  },
  {
    ids: 'CVE-2021-39163, CVE-2021-39164, CVE-2022-39335',
    what: 'what is in a room was told to others',
    guard:
      'every method about a group wants a member’s signature, and says the same of one that is not there',
    tests: [
      here('what is in a group is told to its members alone, and nobody hears whether it is there'),
    ],
  },
  {
    ids: 'CVE-2022-31152, CVE-2025-49090',
    what: 'states that diverge, and are resolved to an attacker’s',
    guard: 'one hub orders all commits of a group: there is nothing to resolve',
    tests: [],
    besides: '`e2e/client/at-odds.pg.test.ts`, `services/ds` (one winner for each epoch)',
  },
  {
    ids: 'CVE-2022-39200',
    what: 'signatures were not checked on one of several ways',
    guard: 'one door decodes and checks; the sources are read for another',
    tests: [
      here(
        'what comes in is decoded and checked in one place, and what is signed is made of fields',
      ),
      MATRIX,
    ],
  },
  {
    ids: 'CVE-2022-39374, CVE-2023-32323, CVE-2025-30355, CVE-2025-61672',
    what: 'one malformed item stopped all that came after it',
    guard: 'each delivery is judged and answered by itself',
    tests: [here('one that is bad, or a page of them, keeps nobody else’s from being taken')],
    besides:
      '`e2e/stories/hostile-bytes-harm-nobody-else.test.ts`: limits for our own clients are the same',
  },
  {
    ids: 'CVE-2023-45129, CVE-2024-31208, CVE-2026-45078',
    what: 'much work for little',
    guard: 'lengths are refused before memory is taken; each homeserver waits behind itself',
    tests: [
      here('what would be much work is refused for its length'),
      [
        'abuse.pg.test.ts',
        'a flood of one homeserver is refused as far as it is one, and the others go on',
      ],
    ],
  },
  {
    ids: 'CVE-2024-52815',
    what: 'a malformed invitation broke who got it',
    guard: 'its shape is judged before it is stored, and a client skips what it cannot read',
    tests: [here('a request to connect that makes no sense keeps no other from arriving')],
  },
  {
    ids: 'CVE-2026-24044',
    what: 'keys that an installer derived',
    guard: 'keys are drawn at the first start, and differ between two homeservers',
    tests: [['skew.pg.test.ts', 'two homeservers have no key in common']],
  },
  {
    ids: 'CVE-2026-24471',
    what: 'servers signed what others had made',
    guard: 'what is signed is made of fields, and nothing that comes in is',
    tests: [
      here('nothing that comes in is signed by us'),
      here(
        'what comes in is decoded and checked in one place, and what is signed is made of fields',
      ),
    ],
  },
  {
    ids: 'CVE-2026-45076',
    what: 'a page of refused events was the end of all pages',
    guard: 'what is refused is answered one by one, and what comes next is taken',
    tests: [here('one that is bad, or a page of them, keeps nobody else’s from being taken')],
  },
];
