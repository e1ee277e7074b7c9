/** Judges attestation evidence by a pin, offline. The module imports nothing: no network, clock or randomness. */

/** Compiles the module: the bytes of `sealstone-verify.wasm`, or a compiled module. */
export function load(module: BufferSource | WebAssembly.Module): Promise<Verifier>;

export interface Verifier {
  /** Evidence against a pin: genuine, from a machine that runs what the pin says, within the policy, fresh? */
  verify(request: VerifyRequest): Verdict;
  /** A raw SEV-SNP report, without a pin. */
  verifySnp(request: VerifySnpRequest): Verdict;
  /** A raw TDX quote, without a pin. */
  verifyTdx(request: VerifyTdxRequest): Verdict;
  /** A release: whole, its publisher's, logged, rebuilt? */
  verifyRelease(request: VerifyReleaseRequest): Verdict;
  /** What every register that a pin predicts is made of. */
  explain(request: ExplainRequest): Chain;
}

/** Thrown when something that was handed in can't be read. Nothing was judged. */
export class VerifyError extends Error {
  readonly document: DocumentName;
  readonly problem: string;
  readonly exitCode: number;
}

export type DocumentName =
  | "pin" | "evidence" | "policy" | "certificates" | "revocation_list" | "collateral" | "report" | "quote"
  | "nonce" | "at" | "profile" | "release" | "request";

export interface VerifyRequest {
  /** Text of `pin.json`. */
  pin: string;
  /** Text of the evidence document, as the machine sent it. */
  evidence: string;
  /** Text of the policy (YAML). Without it the defaults hold. */
  policy?: string | null;
  /** What the evidence was asked for with: 64 lower-case hex digits. Without it, nothing shows that it is fresh. */
  nonce?: string | null;
  /** Time to judge at, in seconds since 1970. */
  at: number;
  /** SEV-SNP: PEM of the certificates to use instead of the machine's own. */
  certificates?: string | null;
  /** SEV-SNP: base64 of AMD's revocation list (DER) to use instead of the machine's own. */
  revocation_list?: string | null;
  /** TDX: text of the collateral (JSON) to use instead of the machine's own. */
  collateral?: string | null;
}

export interface VerifySnpRequest {
  /** Base64 of the report's 1184 bytes. */
  report: string;
  /** Base64 of the VCEK's or VLEK's certificate, PEM or DER. */
  endorsement: string;
  /** PEM of the certificates above it. Without it the compiled-in ones. */
  chain?: string | null;
  /** Base64 of AMD's revocation list (DER). */
  revocation_list?: string | null;
  policy?: string | null;
  at: number;
}

export interface VerifyTdxRequest {
  /** Base64 of the quote. */
  quote: string;
  /** Text of the collateral (JSON). */
  collateral: string;
  policy?: string | null;
  at: number;
}

export interface VerifyReleaseRequest {
  /** Base64 of every file of the release's folder, by path. */
  files: Record<string, string>;
  /** Base64 of the publisher's notices, by name. */
  notices: Record<string, string>;
  policy?: string | null;
  at: number;
}

export interface ExplainRequest {
  /** Text of `pin.json`. */
  pin: string;
}

/** The document `sealstone/verdict/v1`. `JSON.stringify(verdict, null, 2)` is what `sealstone verify --json` prints. */
export interface Verdict {
  schema: "sealstone/verdict/v1";
  accepted: boolean;
  /** 0, or that of the worst refusal. */
  exit_code: 0 | 10 | 11 | 12 | 13;
  tee: "sev-snp" | "tdx" | "tpm2" | "release";
  /** Time that was judged at, in seconds since 1970. */
  at: number;
  /** The pin's id, if there was a pin. */
  pin?: string;
  /** The pin's profile that fits, or fits best. */
  profile?: string | null;
  /** Every check, worst first. */
  checks: Check[];
}

export interface Check {
  /** Stable name, dotted, such as `snp.signature`. */
  id: string;
  outcome: "refused" | "not-asked" | "passed";
  /** Of a refusal: what it means. */
  refusal?: "signature" | "measurement" | "policy" | "transparency";
  /** Of a refusal. */
  exit_code?: 10 | 11 | 12 | 13;
  expected: string;
  found: string;
  why: string;
}

export interface Chain {
  /** The pin's id. */
  pin: string;
  image: ImageName;
  profiles: Profile[];
}

export interface ImageName {
  name: string;
  version: string;
}

export interface Profile {
  id: string;
  tee: "sev-snp" | "tdx" | "tpm2";
  /** In the order in which they are measured. */
  events: BootEvent[];
}

export interface BootEvent {
  /** `launch`, `mrtd`, `rtmr0`…, `pcr0`…. */
  register: string;
  kind: string;
  /** How the digest enters the register, in words. */
  op: string;
  digest: string;
  /** Other digests that are as good. */
  or: OtherDigest[];
  /** Bytes that were hashed, where the digest is a hash of bytes. */
  size: number | null;
  /** What the digest is a function of. */
  input: string;
  /** How it is derived from that, in words. */
  how: string;
  controlled_by: "image" | "firmware" | "platform" | "host";
}

export interface OtherDigest {
  digest: string;
  when: string;
}
