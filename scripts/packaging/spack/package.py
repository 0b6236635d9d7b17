# For a repository of one's own: spack repo create ./repo; mkdir -p repo/packages/dspy_mpi; cp package.py there.
from spack.package import *


class DspyMpi(MakefilePackage):
    """A compiler of language-model programs for clusters: DSPy's optimizers on MPI ranks."""

    license("MIT")

    # No release is out yet: spack install --source with `spack develop`, or `url` and a sum once there is one.
    version("0.1.0")

    depends_on("c", type="build")
    depends_on("gmake", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("mpi")
    depends_on("curl@7.61:")
    depends_on("msgpack-c")  # 3.1.1 is its newest here; its .pc is called msgpack, which the Makefile knows
    depends_on("utf8proc")
    depends_on("pcre2")
    depends_on("zlib-api")
    depends_on("zstd")
    depends_on("python@3.8:", type="run")  # for metrics and programs in Python

    def build(self, spec, prefix):
        make("MPI=linked", f"MPICC={spec['mpi'].mpicc}", f"PREFIX={prefix}")

    def install(self, spec, prefix):
        make("MPI=linked", f"MPICC={spec['mpi'].mpicc}", f"PREFIX={prefix}", "install")
