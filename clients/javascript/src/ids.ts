/** The ids of events. */

/** Make a UUIDv7 (RFC 9562, 5.7). Unlike `crypto.randomUUID`, it works on pages without TLS. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  bytes[0] = (bytes[0]! & 0x0f) | 0x70; // the version
  bytes[2] = (bytes[2]! & 0x3f) | 0x80; // the variant
  const random = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"));
  const hex = Date.now().toString(16).padStart(12, "0") + random.join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
