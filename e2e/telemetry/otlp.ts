// The part of OTLP (opentelemetry-proto, trace/v1) that tests look at, read from its protobuf.

/** A span as a collector was told of it. */
export interface ExportedSpan {
  readonly service: string;
  /** Of the processes of a service, which. */
  readonly instance: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty where it begins a trace. */
  readonly parentId: string;
  readonly name: string;
  readonly kind: number;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: ReadonlyMap<string, string>;
  readonly links: number;
}

/** What an ExportTraceServiceRequest holds. */
export function decodeSpans(request: Uint8Array): ExportedSpan[] {
  return messages(request, 1).flatMap((resourceSpans) => {
    const [resource = NOTHING] = messages(resourceSpans, 1);
    const told = attributesOf(resource, 1);
    const of = {
      service: told.get('service.name') ?? '',
      instance: told.get('service.instance.id') ?? '',
    };
    const scopes = messages(resourceSpans, 2);
    return scopes.flatMap((scope) => messages(scope, 2).map((span) => decodeSpan(span, of)));
  });
}

function decodeSpan(
  bytes: Uint8Array,
  of: Pick<ExportedSpan, 'service' | 'instance'>,
): ExportedSpan {
  const fields = fieldsOf(bytes);
  const hex = (number: number): string => Buffer.from(bytesOf(fields, number)).toString('hex');
  return {
    ...of,
    traceId: hex(1),
    spanId: hex(2),
    parentId: hex(4),
    name: Buffer.from(bytesOf(fields, 5)).toString(),
    kind: Number(numberOf(fields, 6)),
    startNs: numberOf(fields, 7),
    endNs: numberOf(fields, 8),
    attributes: attributesOf(bytes, 9),
    links: fields.filter(({ number }) => number === 13).length,
  };
}

interface Field {
  readonly number: number;
  readonly value: bigint | Uint8Array;
}

const NOTHING = new Uint8Array(0);

function fieldsOf(bytes: Uint8Array): Field[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    for (let value = 0n, shift = 0n; ; shift += 7n) {
      const byte = view.getUint8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const number = tag >> 3;
    switch (tag & 7) {
      case 0:
        fields.push({ number, value: varint() });
        break;
      case 1:
        fields.push({ number, value: view.getBigUint64(at, true) });
        at += 8;
        break;
      case 2: {
        const length = Number(varint());
        fields.push({ number, value: bytes.subarray(at, at + length) });
        at += length;
        break;
      }
      case 5:
        fields.push({ number, value: BigInt(view.getUint32(at, true)) });
        at += 4;
        break;
      default:
        throw new Error(`a field of wire type ${tag & 7}`);
    }
  }
  return fields;
}

function messages(bytes: Uint8Array, wanted: number): Uint8Array[] {
  return fieldsOf(bytes).flatMap(({ number, value }) =>
    number === wanted && value instanceof Uint8Array ? [value] : [],
  );
}

function bytesOf(fields: readonly Field[], wanted: number): Uint8Array {
  const value = fields.find(({ number }) => number === wanted)?.value;
  return value instanceof Uint8Array ? value : NOTHING;
}

function numberOf(fields: readonly Field[], wanted: number): bigint {
  const value = fields.find(({ number }) => number === wanted)?.value;
  return typeof value === 'bigint' ? value : 0n;
}

/** Texts as they are, anything else as its number. */
function attributesOf(bytes: Uint8Array, field: number): Map<string, string> {
  const pairs = messages(bytes, field).map((pair): [string, string] => {
    const [key, any] = [bytesOf(fieldsOf(pair), 1), fieldsOf(bytesOf(fieldsOf(pair), 2))];
    const value = any[0]?.value ?? '';
    const text = value instanceof Uint8Array ? Buffer.from(value).toString() : String(value);
    return [Buffer.from(key).toString(), text];
  });
  return new Map(pairs);
}
