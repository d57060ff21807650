import type { TokenClass } from '@roost/identity/issuer-keys';
import type { Tokens } from '@roost/e2e/tokens';
import { type Outgoing, printToken, type Transport } from '@roost/rpc/call';

/** Pays for every call out of somebody's purse; one whose call nobody answered is given once more. */
export function paying(transport: Transport, tokens: Tokens): Transport {
  const paid = async (call: Outgoing): Promise<Outgoing> => {
    const tokenClass: TokenClass = call.path.endsWith('/ClaimAddPackages') ? 'contact' : 'general';
    const token = await tokens.takeRaw(tokenClass);
    return { ...call, authorization: printToken(token) };
  };
  return {
    unary: async (call) => await transport.unary(await paid(call)),
    async *stream(call) {
      yield* transport.stream(await paid(call));
    },
  };
}
