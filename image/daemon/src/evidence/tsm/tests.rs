//! Entries that behave as the kernel's do, and worse.

use super::*;

/// What the processor makes of a challenge.
type Make = fn([u8; DATA]) -> Vec<u8>;

const OURS: [u8; DATA] = [7; DATA];

fn snp(data: [u8; DATA]) -> Vec<u8> {
    let mut report = vec![1; SNP_REPORT];
    report[SNP_DATA..SNP_DATA + DATA].copy_from_slice(&data);
    report
}

fn tdx(version: u8, data: [u8; DATA]) -> Vec<u8> {
    let at = if version == 4 { TDX_DATA_4 } else { TDX_DATA_5 };
    let mut quote = vec![2; at + DATA + 100];
    quote[..2].copy_from_slice(&[version, 0]);
    quote[at..at + DATA].copy_from_slice(&data);
    quote
}

/// An entry as the kernel keeps it, with somebody else who writes between our steps.
struct Fake {
    tee: Make,
    generation: u64,
    asked: [u8; DATA],
    auxiliary: Option<Vec<u8>>,
    /// Before which accesses, counted from 0, somebody else writes.
    intruder: fn(usize) -> bool,
    /// The step of an attempt that fails, with this, and whether at each attempt.
    fails: Option<(usize, Errno, bool)>,
    /// Writes that are lost when the file is closed, as the kernel loses them: nobody is told.
    loses: bool,
    accesses: usize,
    seen: Vec<&'static str>,
}

impl Fake {
    fn new(tee: Make) -> Fake {
        let (asked, seen) = ([0; DATA], Vec::new());
        Fake { tee, generation: 41, asked, auxiliary: None, intruder: |_| false, fails: None, loses: false, accesses: 0, seen }
    }

    fn access(&mut self, file: &'static str) -> io::Result<()> {
        let number = self.accesses;
        self.accesses += 1;
        self.seen.push(file);
        if (self.intruder)(number) {
            self.asked = [0xee; DATA];
            self.generation = self.generation.wrapping_add(1);
        }
        match self.fails {
            Some((step, errno, true)) if number % (step + 1) == step => Err(errno.into()),
            Some((step, errno, false)) if number == step => Err(errno.into()),
            _ => Ok(()),
        }
    }
}

impl Entry for Fake {
    fn read(&mut self, file: &'static str, limit: usize) -> io::Result<Vec<u8>> {
        self.access(file)?;
        let bytes = match file {
            "generation" => format!("{}\n", self.generation).into_bytes(),
            "outblob" => (self.tee)(self.asked),
            "auxblob" => self.auxiliary.clone().ok_or(io::ErrorKind::NotFound)?,
            other => panic!("{other} is read"),
        };
        if bytes.len() > limit { Err(Errno::FBIG.into()) } else { Ok(bytes) }
    }

    fn write(&mut self, file: &'static str, bytes: &[u8]) -> io::Result<()> {
        self.access(file)?;
        assert_eq!(file, "inblob");
        if !self.loses {
            self.asked = bytes.try_into().unwrap();
            self.generation = self.generation.wrapping_add(1);
        }
        Ok(())
    }
}

const STEPS: [&str; 6] = ["generation", "inblob", "generation", "outblob", "auxblob", "generation"];

#[test]
fn a_report_for_what_was_asked() {
    let mut entry = Fake { auxiliary: Some(b"table".into()), ..Fake::new(snp) };
    let expected = Report { evidence: snp(OURS), auxiliary: b"table".into() };
    assert_eq!(report(&mut entry, Tee::SevSnp, &OURS), Ok(expected));
    assert_eq!(entry.seen, STEPS);
    for version in [4, 5] {
        let make: Make = if version == 4 { |data| tdx(4, data) } else { |data| tdx(5, data) };
        let mut entry = Fake::new(make);
        let expected = Report { evidence: tdx(version, OURS), auxiliary: vec![] };
        assert_eq!(report(&mut entry, Tee::Tdx, &OURS), Ok(expected));
        assert!(!entry.seen.contains(&"auxblob"));
    }
    // No certificates, and a count that begins anew.
    let mut entry = Fake { generation: u64::MAX, ..Fake::new(snp) };
    assert!(report(&mut entry, Tee::SevSnp, &OURS).is_ok_and(|report| report.auxiliary.is_empty()));
}

#[test]
fn somebody_elses_writing_is_noticed_wherever_it_falls() {
    // Before our first reading it does no harm; before any other step the attempt is given up, and the next one succeeds.
    for (number, accesses) in [(0, 6), (1, 3 + 6), (2, 3 + 6), (3, 6 + 6), (4, 6 + 6), (5, 6 + 6)] {
        type At = fn(usize) -> bool;
        let at: [At; 6] = [|n| n == 0, |n| n == 1, |n| n == 2, |n| n == 3, |n| n == 4, |n| n == 5];
        let mut entry = Fake { intruder: at[number], ..Fake::new(snp) };
        assert_eq!(report(&mut entry, Tee::SevSnp, &OURS).unwrap().evidence, snp(OURS), "{number}");
        assert_eq!(entry.accesses, accesses, "{number}");
    }
    let mut entry = Fake { intruder: |_| true, ..Fake::new(snp) };
    assert_eq!(report(&mut entry, Tee::SevSnp, &OURS), Err(ReportError::InUse));
    assert_eq!(entry.accesses, 3 * ATTEMPTS);
}

#[test]
fn a_lost_write_is_noticed() {
    let mut entry = Fake { loses: true, ..Fake::new(snp) };
    assert_eq!(report(&mut entry, Tee::SevSnp, &OURS), Err(ReportError::InUse));
    assert!(!entry.seen.contains(&"outblob"), "no report of another challenge is even read");
}

#[test]
fn errors_of_the_kernel() {
    // What passes is tried again, and other errors end it at once.
    let table: &[(Errno, usize)] = &[(Errno::BUSY, 3), (Errno::INTR, 3), (Errno::AGAIN, 3), (Errno::IO, 1), (Errno::NXIO, 1)];
    for (errno, attempts) in table {
        for (step, file) in STEPS.iter().enumerate() {
            let mut entry = Fake { fails: Some((step, *errno, true)), ..Fake::new(snp) };
            let error = ReportError::Kernel { file, errno: errno.raw_os_error() };
            assert_eq!(report(&mut entry, Tee::SevSnp, &OURS), Err(error), "{errno} at {file}");
            assert_eq!(entry.accesses, (step + 1) * attempts, "{errno} at {file}");
            let mut once = Fake { fails: Some((step, *errno, false)), ..Fake::new(snp) };
            assert_eq!(report(&mut once, Tee::SevSnp, &OURS).is_ok(), *attempts > 1, "{errno} at {file}");
        }
    }
}

#[test]
fn what_is_no_report_for_this_is_refused() {
    let malformed = |file| Err(ReportError::Malformed { file });
    let table: &[(Tee, Make)] = &[
        (Tee::SevSnp, |_| snp([8; DATA])),
        (Tee::SevSnp, |data| snp(data)[1..].to_vec()),
        (Tee::SevSnp, |data| [snp(data), vec![0]].concat()),
        (Tee::SevSnp, |_| Vec::new()),
        (Tee::Tdx, |_| tdx(4, [8; DATA])),
        (Tee::Tdx, |data| [&[6, 0], &tdx(5, data)[2..]].concat()),
        (Tee::Tdx, |data| [&[5, 0], &tdx(4, data)[2..]].concat()),
        (Tee::Tdx, |data| tdx(4, data)[..TDX_DATA_4 + DATA - 1].to_vec()),
        (Tee::Tdx, |_| Vec::new()),
    ];
    for (number, (tee, make)) in table.iter().enumerate() {
        assert_eq!(report(&mut Fake::new(*make), *tee, &OURS), malformed("outblob"), "{number}");
    }
    let too_long = Err(ReportError::Kernel { file: "outblob", errno: Errno::FBIG.raw_os_error() });
    assert_eq!(report(&mut Fake::new(|_| vec![0; MAX_BLOB + 1]), Tee::SevSnp, &OURS), too_long);
}

#[test]
fn a_folder_is_read_whole_or_not_at_all() {
    let folder = std::env::temp_dir().join(format!("sealstone-tsm-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("outblob"), vec![9; 10_000]).unwrap();
    std::fs::write(folder.join("inblob"), b"").unwrap();
    let mut entry = Folder(folder.clone());
    assert_eq!(entry.read("outblob", 10_000).unwrap(), vec![9; 10_000]);
    assert_eq!(entry.read("outblob", 9_999).unwrap_err().raw_os_error(), Some(Errno::FBIG.raw_os_error()));
    assert_eq!(entry.read("auxblob", 9).unwrap_err().kind(), io::ErrorKind::NotFound);
    entry.write("inblob", &OURS).unwrap();
    assert_eq!(std::fs::read(folder.join("inblob")).unwrap(), OURS);
    assert!(entry.write("nothing", &OURS).is_err(), "no file is made");
    std::fs::remove_dir_all(folder).unwrap();
}
