import { holds, same, vectorBytes, vectorKind } from '@roost/core/vectors';
import {
  extractWelcomeSecret,
  verifyGroupInfoConfirmationTag,
  verifyGroupInfoSignature,
} from 'ts-mls/groupInfo.js';
import { makeKeyPackageRef } from 'ts-mls/keyPackage.js';
import { decryptGroupInfo, decryptGroupSecrets } from 'ts-mls/welcome.js';
import { toHex } from '@roost/core/bytes';
import { refOf } from '../src/key-package.ts';
import { parseKeyPackage, parseWelcome, splitWelcome } from '../src/message.ts';
import { memberSuite, publicSuite } from './suites.ts';

/** A Welcome: the server cuts it for its joiner, the joiner opens it. */

interface WelcomeVector {
  readonly cipher_suite: number;
  readonly init_priv: string;
  readonly signer_pub: string;
  readonly key_package: string;
  readonly welcome: string;
}

export const welcome = vectorKind<WelcomeVector>(
  'welcome',
  ['init_priv', 'signer_pub', 'key_package', 'welcome'],
  async (vector) => {
    const suite = await memberSuite(vector.cipher_suite);
    const keyPackage = parseKeyPackage(vectorBytes(vector.key_package));
    const ref = refOf(publicSuite(vector.cipher_suite), keyPackage);
    same('the KeyPackageRef', await makeKeyPackageRef(keyPackage, suite.hash), toHex(ref));
    const own = parseWelcome(splitWelcome(vectorBytes(vector.welcome), ref));

    const initKey = await suite.hpke.importPrivateKey(vectorBytes(vector.init_priv));
    const secrets = await decryptGroupSecrets(initKey, ref, own, suite.hpke);
    if (secrets === undefined) throw new Error('the group secrets do not open');
    const { joinerSecret } = secrets;
    const noPsk = new Uint8Array(suite.kdf.size);
    holds('that there is no PSK', secrets.psks.length === 0);
    const info = await decryptGroupInfo(own, joinerSecret, noPsk, suite);
    if (info === undefined) throw new Error('the GroupInfo does not open');
    const key = vectorBytes(vector.signer_pub);
    const isSigned = await verifyGroupInfoSignature(info, key, suite.signature);
    holds('the signature of the GroupInfo', isSigned);
    const isConfirmed = await verifyGroupInfoConfirmationTag(info, joinerSecret, noPsk, suite);
    holds('the confirmation tag', isConfirmed);
    const welcomeSecret = await extractWelcomeSecret(joinerSecret, noPsk, suite.kdf);
    holds('the length of the welcome secret', welcomeSecret.length === suite.kdf.size);
  },
);
