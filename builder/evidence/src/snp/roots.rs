//! AMD's root keys and signing keys, compiled in.
//!
//! Public keys of the certificates that AMD publishes at `kdsintf.amd.com/vcek/v1/{Milan,Genoa,Turin}/cert_chain`; taken
//! from the crate `sev` 8.0.0 (`src/certs/snp/builtin`), which carries the same certificates. All exponents are 65537.
//! Changing a root means trusting somebody else: every verdict on SEV-SNP hangs on these numbers.

use std::fmt;

use crate::bytes::unhex;

/// A processor generation with a root of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Product {
    /// Third-generation EPYC.
    Milan,
    /// Fourth generation, with Bergamo and Siena.
    Genoa,
    /// Fifth generation.
    Turin,
}

impl Product {
    /// Families that endorsement certificates under this root may name.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Milan => &["Milan"],
            Self::Genoa => &["Genoa", "Bergamo", "Siena"],
            Self::Turin => &["Turin"],
        }
    }

    /// The generation of a processor, from CPUID family and model as a report of version 3 or later gives them; `None` if it
    /// is of none that is known.
    pub fn of_cpuid(family: u8, model: u8) -> Option<Self> {
        [Self::Milan, Self::Genoa, Self::Turin].into_iter().find(|product| product.has_cpuid(family, model))
    }

    /// Bytes of the hardware id in a VCEK's certificate, which begin the report's chip id.
    pub fn hardware_id_length(self) -> usize {
        match self {
            Self::Milan | Self::Genoa => 64,
            Self::Turin => 8,
        }
    }

    /// Whether CPUID family and model, as a report of version 3 or later gives them, are of this generation (AMD's
    /// revision guides: 19h 00h-0Fh; 19h 10h-1Fh and A0h-AFh; 1Ah 00h-1Fh).
    pub(super) fn has_cpuid(self, family: u8, model: u8) -> bool {
        match self {
            Self::Milan => family == 0x19 && model <= 0x0f,
            Self::Genoa => family == 0x19 && matches!(model, 0x10..=0x1f | 0xa0..=0xaf),
            Self::Turin => family == 0x1a && model <= 0x1f,
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        })
    }
}

/// A key that is trusted because it stands here.
#[derive(Clone, Debug)]
pub(crate) struct Anchor {
    /// Common name of its certificate's subject.
    pub(crate) name: String,
    /// RSA modulus, big-endian.
    pub(crate) modulus: Vec<u8>,
    /// Validity of its certificate: first and last second.
    pub(crate) validity: (u64, u64),
}

/// What is trusted for one product.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    pub(crate) product: Product,
    /// Signs the signing keys' certificates.
    pub(crate) ark: Anchor,
    /// Signs VCEKs; stands in for its certificate if the caller has none.
    pub(crate) ask: Anchor,
}

/// All of AMD's.
pub(super) fn amd() -> Vec<Root> {
    let anchor = |name: &str, modulus: &[u8; 512], validity| Anchor { name: name.into(), modulus: modulus.to_vec(), validity };
    vec![
        Root {
            product: Product::Milan,
            ark: anchor("ARK-Milan", &ARK_MILAN, (1_603_387_385, 2_392_305_785)),
            ask: anchor("SEV-Milan", &ASK_MILAN, (1_603_391_060, 2_392_309_460)),
        },
        Root {
            product: Product::Genoa,
            ark: anchor("ARK-Genoa", &ARK_GENOA, (1_643_211_277, 2_432_129_677)),
            ask: anchor("SEV-Genoa", &ASK_GENOA, (1_667_223_228, 2_456_141_628)),
        },
        Root {
            product: Product::Turin,
            ark: anchor("ARK-Turin", &ARK_TURIN, (1_684_180_992, 2_473_185_792)),
            ask: anchor("SEV-Turin", &ASK_TURIN, (1_684_182_321, 2_473_187_121)),
        },
    ]
}

// ARK of Milan
const ARK_MILAN: [u8; 512] = unhex(
    b"d0b779d9124e75e88996a2b625db15983ec592dba8b56c17d5f3605b8d5763d5f3d471214949a12f3f42bbd0c7465be02523716de618b272\
     5fbf28f1d4c7d4d15e6d90a894d447ac345b5ad644c0d2cccd8ac75873d8acaa4ee65d3e7e29f1916df73857ff73448704f2394737ad52d6\
     3bbc5fddfee9dc4352b1b64b3c6a278061ab2626503aee3d72525f8bd4734d4fee3f7c329a8e4bde6b3917461de239d8d6b3e66d81f8efaf\
     8ec0b4eb4777ee363d2c57ae38fe0c7ab8bcaa07e2d92e642aa83f685e9a3edb80650551eeedca1585cfe7d5e6260b5ca20d398262344ff3\
     a2b4b86ecd5be965c2e9874a1d87fd483d7ab1dfe3278c3f7b03b7d7a6a19dff2f0ac57ee392c4c4cc03a06ca01e6a6de59bedf228871360\
     c96c44c5cf72335b22f9ac072903fffc529e2bacb870648279443445b1d5471b410aecfa054392e54f86c9f321136062f338f18fbb2c6889\
     627ae613cc5cadec5e901c6bbdad95f53250aa7377439de4b79be2422dfe8027e69300b4174b62ac865b2e45cfacfc3367433d78dc612324\
     9bda7a497e09eacf9e48d2edf7c21e2bd1935079319fc34dcc054b72bb319eb0691cc3e968a8c6aad6a478b6319b3d8c42be90aaefe3a0a4\
     20a830d8addae2e8f4cd7c7c7cf5d2538c4fc9d6014bd1645ced7970a6fbb3c77583e5990c14c372ef7a727f20b5e840f1df6e41f40b23df\
     865d635a124565ab",
);

// ASK of Milan
const ASK_MILAN: [u8; 512] = unhex(
    b"9d4d9daeb3537db84d4089657fe5b6cbe44e09b4b321dd5a2997edd93f738d940ece319c725d7b8b598829697b353701d15617b77271652c\
     ce663b232cd54010dd8c1a3f5389e74bf907b02995f4266404b988e6f962a4b0bb7181d2e9f44ec464dc0d0ea575af4a913f9b41f0e5a4c9\
     06c874b7aee1a0b3ee3fd2975164072b5ebfdb1b146cededcc278f38bd9bb9e8aac93eb91541a77f889f7e503dd723f187e51269c704dbee\
     5032612c224c5bc28e8cfebef8f85bb378828ad25c00d12d5b8a93345a0a5b708795b7120a34ccf0ab0d6d4c7703c7a4e4454b8d9587d69b\
     7d1374dfa51e97c9f40a9d8ea497968420fc1d5b778561aa8214fac8a3da504fa5ae0d23f82426096d99de28a21b663cd7909b773501b7d8\
     4ba46089816fd482926f7e7d2e4b64583da23cee6cc5f7f8d901a125c8ece3ef9c73318eea7d9b0e6c7ba41457b1aaa420364cdca9a259ae\
     43e7006b157b26a1c4f1d97da567fe6376ab6fef628850b016de25025270e43d024d14c2d58e585850c10ab03fbc69e64e7a86f02fa38d40\
     12edc8e347cab838f8720e62513e7682fd91b9b8fd0ad33e86a0eff7b9e9fdc2ab210ae1de80b4e939e1c42512ab405af83d523054e074f9\
     e6cee45828c8ec38de7c850f950a043c4407804aa3fd2e0222872d1bef80b6ce45b53c280448b35128a848e617c52dae64165768548f0cea\
     c2f1c57a2f2b3f13",
);

// ARK of Genoa
const ARK_GENOA: [u8; 512] = unhex(
    b"dc277de52fee14eb9122c916f6fcfd543045ebd343405efda1184bfcbd8f5501a12b761d7c4060a45fc98b058506c4ff7d70e1cc0d35a772\
     e4713ffb2dd8dc45f2978c797ed10abf338759921e900e851e2b33412c37012830c65a8defdf9372af16c0d439e463050a5390009383fde2\
     d2972e9f34a31b7ce1a8721e82e673f2eab06b29fa8ab5073e0f3ec60bc131b888c29569a4fdd3fa19e08f2889b4abbbddaf26196a58edbb\
     77f47173789433284d7864e83af831fe2528e201a91bad4d0e990452f233b8a71a331f08753a568360c5e92c05d0881531f7e7bed26603af\
     01c09356a351383cb25d68f7c189f709a6e045c0d55020f404557dda3fcf47252a7c61b63d972492e8f95512a4c106d6909a2e004c698c47\
     e9f62bf7be240854d868fb8c8a4984e91d1fd7e2ad00e79a50364857c9fc27349863735bd466221c8e527345a1c966911865dff01053962c\
     f50b1a9f58d3fc48b24fea42a669c0fb2f5e76f84309b386f05da8c47191753064ca5ba782b917246622c06ad1f246a2aafecd37c4213813\
     2a62371bae412bd1ff1030a925212e6bb8e7ea94b302070f092c1dcb923a5682d0fb3a9c64cd2b2884de3b5289bce9163a969ef683c7971c\
     fd6a62b9ef873686d52ef4bf0e8e91b69a0bd123887fee1e0009406c689fbbb443bc60a1111603f7bb25c050c0b83cd07abfb1b46ea9eb31\
     cfbc01592636e787",
);

// ASK of Genoa
const ASK_GENOA: [u8; 512] = unhex(
    b"a07261be4e05c309306f4dc031f2f24972525e611a09931345b2e03da8f8a04cda0fdb467f1092c3f9ec0808971d069652dfbe6e76e324ed\
     394ca4f977e09daf3e3f7e2441a5b85fd31cef875d4efb025304f8f7b82cc39b8f2f119f25e525cc3b8c1dfd0ab0b2b7a314444f0ff1dd7e\
     fd66182316eda734ba0f2dac3cea19efa5fa9f0d323a7f12a043636bddf212da54b992f978c0aa561535192c87d693cd260bd7dfdc4eb043\
     9aa436cbc936df3365da55baabf06d40ea56195b37116bc11dbfd09dfddfdd2f7e942e07da3743cbdca7ee4ab24d6ab8582067138aa16094\
     6892e958b7331933522593867a44f90e4d1d4c27881d16d8fb94a9ab912b8ea09626aa1248b1027ce789406c9c9b814ef3cb3580c2edee6a\
     c96460a5040107f68dae47ca5dc806a3b3a6a637d52a4acdb97c357bde6726d13249707dee220cb236e53f64bbd0957ad0d889f09b7467ae\
     1dd4f064105e996e0d139ecbee2115f3ecf3f27c6783c38c5ffff8a579ed5aa9906c402704bbf64e84e07751f6cd846d8720cb737575d7df\
     fe1674d6d7b2cae9b2b34c28049c21d011c02dd210d02cb17bf7dfb69594f1c5f044a1db8065ac7a2238003028ba7b565f28f25291dbdbda\
     6dc1c1f3fc6e7886efe00426fd563849a7049735a55402b6d6c952875b8b4ed57de9f925152a02f48cdce6d640ecd2006cec1a7a488a0c05\
     a56ea6f45eee6155",
);

// ARK of Turin
const ARK_TURIN: [u8; 512] = unhex(
    b"c1a02b881ec422e55ce19075c03dd87c3c4bfbd7b24bbfa2ce6d098f75bbef63483425a5f018f7c3f243d998e66d1c56748abfe1df626ab0\
     8aa2b5e5a09501d6345d831a9c713c7568ea22838fb6c355e1555253ecae39ef04f964b3498106b1a9af44b64c2377afbdb0e86508313d97\
     8de443447606291525afeecb254e4b0124e70e6d5ca3ae1bd8efaba42d00c25ab16dfcc25a910da2841ad67d554806a27dbb66e2f8b1326e\
     0bf6b3cfdfe2401c3c9048a5cce97de4089391e6398d21010d66c0aa7664e6a94cee4212286db4920426d789a134a0c8da9da8b9afb3b801\
     bb8b9d9ea68445d867d4d13624ff27febc2341dad9de721150b8fd9ef1b2e4f7965da8f8bdfd45b0e095e3b5d100e2ed896299524943d054\
     05cab7a2d5aae8ed25c339f492abdaed1743be4ac3170ca75e604978417c89ef3c0c2e018e1d130c06a93f28220e1eb0f1f012c98286161e\
     0c8c4f1bd4787f1f4ed2aea9f066fe1d7953892e3b3fd60d78ea6274e50acc397f4b53afca10ed48bf0b25cdb84004c5c9da3f883fca51db\
     c54d1943d1cae400c9192e8590f212c319ce816495ec75ded97f67b8516ded23fd6887fdaddb73addf3ca14dcbf98036c006ed0b8d57bdf2\
     e4674b5e523302bffe526df5ee41a8abe0001912a0005ff81e1516d3d5117d3282b61a15a23d8b9001af19d5066cd7a516f6d62235365342\
     7ce1943c8855a561",
);

// ASK of Turin
const ASK_TURIN: [u8; 512] = unhex(
    b"9ef8391abbf612677d94084a74eeb845753750449be894e6d078737afc753f2c629f162a24bdf6f6a4c93345e6768ccb61beebb07c603392\
     36a54d7c33c81e72dda937f601d8b435fdb22adfb4cf0db83bca6d0c37a2a467a684471017d2fa18b5d0f23718c30148e946909ed4571c01\
     ebff12cda7fc5cf51b54e60b65dea5342a68aa66b7a9a70d64821c256c42863481289b79a1ba76833a3a235409b297682eca1c7e5bffde81\
     0f50c9f3833e247a8f0a51611ea509c33285e50c63e30816019ccaf143e188d1a3ac5ebe4c1765146752cc4ab0d633ab0931ddb98c8b2bee\
     4e437388c384bebd978e568c496a34c859db2a60fd832dcd0790bd2a58eba610eaeb736ff80de1134a10743322291f4e6449a97240dd9e37\
     93faa6d381f3885d74275b24f11ea670fe16a41aa75ba4c372bcb81720781480176debe94b53f1473987b32c597dcca198841dc4a40d043c\
     21e75393b08b8ec2ba4bb6ff95f2aa7d889184a806911bec11dfcc0cd72e98764a220cdab09c206a0cd2820894a3d8d7a771169bce1fab2c\
     4d5f34aeb4f07ba83e4ffd42c007eabd420bebcc2f179de68b3f430dac784cf3451e8e6b014c892d32f16859521e9580cb75ca22d1e303e4\
     345c71fb20ad8698ea1ffefea7fdb6083e997d3d509a6e48f445dfca32aa734d14c979bffb562e052c0a13d4e8d0900b5ed06aaafc9aedb2\
     9f2cae1c4b392555",
);
