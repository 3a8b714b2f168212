"""Writes generated/ from protos/: Python stubs, the TypeScript package, the descriptor set, the service configs.

The Python package also gets the server's validator of rendered windows, so that a client can check what it sends.
Equal sources and tool versions give equal bytes. With `--verify` nothing is written: everything is generated into a
temporary folder and compared. Files written by hand in generated/ are listed in HAND_WRITTEN and never touched.
"""

from __future__ import annotations

import argparse
import difflib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc_tools
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2

from tools import nodejs
from tools.service_config import service_config

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GENERATED = ROOT / "generated"
TYPESCRIPT_TOOLS = ROOT / "tools" / "typescript"
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"

CHECKING = ROOT / "kata_grpc" / "dialects" / "checking"
"""The validator, which needs the standard library alone: the clients' copy differs from it in its package's name."""

HAND_WRITTEN = {
    "README.md",
    "python/README.md",
    "python/pyproject.toml",
    "typescript/README.md",
    "typescript/package.json",
}
CONFIGS = {"service_config.json": False, "service_config_with_request_ids.json": True}
"""Files, and whether they retry writes."""

TS_PROTO_OPTIONS = (
    "env=node",
    "esModuleInterop=true",
    "forceLong=bigint",  # versions, counters and budgets are int64
    "oneof=unions-value",
    "outputIndex=true",
    "outputJsonMethods=false",  # they cut times to milliseconds; protobuf's own JSON is the server's business
    "outputServices=grpc-js",
    "snakeToCamel=true",
    "useDate=false",  # a Date keeps milliseconds, the service microseconds
)

PYTHON_INIT = '''"""Python stubs of the Kata gRPC API, generated from its protos."""
'''
PYTHON_V1_INIT = '''"""Stubs of package kata.context.v1, and the retry policies that fit it."""

from importlib.resources import files


def service_config(*, with_request_ids: bool = False) -> str:
    """Return the gRPC service config, for the channel option "grpc.service_config".

    It retries reads that end with UNAVAILABLE. With `with_request_ids` it retries writes too, which is safe only for
    a caller that sets `request_id` on every write.
    """
    name = "service_config_with_request_ids.json" if with_request_ids else "service_config.json"
    return (files(__name__) / name).read_text(encoding="utf-8")
'''

TYPESCRIPT_CONFIG = """import reads from "./service_config.json";
import writes from "./service_config_with_request_ids.json";

/**
 * The gRPC service config, for the channel option "grpc.service_config": reads that end with UNAVAILABLE are retried.
 */
export const serviceConfig: string = JSON.stringify(reads);

/** As serviceConfig, and writes are retried too: safe only for a caller that sets `requestId` on every write. */
export const serviceConfigWithRequestIds: string = JSON.stringify(writes);
"""
TYPESCRIPT_INDEX = """export * from "./kata/context/v1";
export { serviceConfig, serviceConfigWithRequestIds } from "./service_config";
"""


def _proto_files() -> list[str]:
    return sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))


def _protoc(*arguments: str) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"-I{WELL_KNOWN}", *arguments, *_proto_files()]
    subprocess.run(command, cwd=ROOT, env=nodejs.environment(), check=True)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _descriptors(target: Path) -> FileDescriptorSet:
    """Write the descriptor set with the comments of this API's own files, which grpcurl shows; return it."""
    path = target / "kata.binpb"
    _protoc(f"--descriptor_set_out={path}", "--include_imports", "--include_source_info")
    descriptors = FileDescriptorSet.FromString(path.read_bytes())
    for file in descriptors.file:
        if not file.package.startswith("kata."):
            file.ClearField("source_code_info")
    # What error details are made of: with them in the set, grpcurl prints a refusal in words.
    present = {file.name for file in descriptors.file}
    for module in (any_pb2, duration_pb2, error_details_pb2, status_pb2):
        if module.DESCRIPTOR.name not in present:
            module.DESCRIPTOR.CopyToProto(descriptors.file.add())
    path.write_bytes(descriptors.SerializeToString(deterministic=True))
    return descriptors


def _python(target: Path, configs: dict[str, str]) -> None:
    target.mkdir(parents=True)
    binaries = Path(sys.executable).parent
    _protoc(
        f"--plugin=protoc-gen-mypy={binaries / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={binaries / 'protoc-gen-mypy_grpc'}",
        f"--python_out={target}",
        f"--mypy_out=quiet:{target}",
    )
    # Files without a service would get empty gRPC modules, so only those with one are passed on.
    with_service = [name for name in _proto_files() if "\nservice " in (PROTOS / name).read_text(encoding="utf-8")]
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"-I{WELL_KNOWN}"),
            f"--plugin=protoc-gen-mypy_grpc={binaries / 'protoc-gen-mypy_grpc'}",
            f"--grpc_python_out={target}",
            f"--mypy_grpc_out=quiet:{target}",
            *with_service,
        ],
        cwd=ROOT,
        check=True,
    )
    package = target / "kata"
    _write(package / "py.typed", "")
    for folder in (package, package / "context"):
        _write(folder / "__init__.py", PYTHON_INIT)
    _write(package / "context" / "v1" / "__init__.py", PYTHON_V1_INIT)
    for name, text in configs.items():
        _write(package / "context" / "v1" / name, text)
    for module in CHECKING.glob("*.py"):
        text = module.read_text(encoding="utf-8")
        _write(package / "context" / "checking" / module.name, text.replace("kata_grpc.dialects.", "kata.context."))


def _use_own_modules(path: Path, source: Path) -> None:
    """Let a generated module take its wire format, and the function that makes clients, from this package."""
    root = "../" * (len(path.relative_to(source).parts) - 1)
    text = path.read_text(encoding="utf-8").replace('"@bufbuild/protobuf/wire"', f'"{root}wire"')
    maker = "  makeGenericClientConstructor,\n"
    if maker in text:
        text = text.replace(maker, "")
        text = text.replace(
            "import {\n", f'import {{ makeGenericClientConstructor }} from "{root}grpc";\nimport {{\n', 1
        )
    path.write_text(text, encoding="utf-8")


def _typescript(target: Path, configs: dict[str, str]) -> None:
    """Write JavaScript (CommonJS) with declarations, compiled where the tools' node_modules are found."""
    modules = nodejs.install_locked(TYPESCRIPT_TOOLS)
    with tempfile.TemporaryDirectory(dir=TYPESCRIPT_TOOLS, prefix=".build-") as name:
        source = Path(name)
        _protoc(
            f"--plugin=protoc-gen-ts_proto={modules / '.bin' / 'protoc-gen-ts_proto'}",
            f"--ts_proto_out={source}",
            f"--ts_proto_opt={','.join(TS_PROTO_OPTIONS)}",
        )
        for unused in (*source.glob("index*.ts"), source / "google/protobuf/descriptor.ts"):
            unused.unlink(missing_ok=True)
        exports = sorted(f'export * from "./{path.stem}";\n' for path in (source / "kata/context/v1").glob("*.ts"))
        _write(source / "kata/context/v1/index.ts", "".join(exports))
        _write(source / "service_config.ts", TYPESCRIPT_CONFIG)
        _write(source / "index.ts", TYPESCRIPT_INDEX)
        for file, text in configs.items():
            _write(source / file, text)
        for module in ("grpc.ts", "wire.ts"):
            shutil.copyfile(TYPESCRIPT_TOOLS / module, source / module)
        for path in source.rglob("*/*.ts"):
            _use_own_modules(path, source)
        _write(source / "tsconfig.json", '{"extends": "../tsconfig.json", "include": ["**/*.ts"]}\n')
        compiler = modules / "typescript" / "bin" / "tsc"
        options = ("--project", name, "--rootDir", name, "--outDir", str(target))
        subprocess.run([str(nodejs.node()), str(compiler), *options], cwd=TYPESCRIPT_TOOLS, check=True)


def generate(target: Path) -> None:
    """Fill the empty folder `target`."""
    descriptors = _descriptors(target)
    configs = {name: service_config(descriptors, writes=writes) for name, writes in CONFIGS.items()}
    for name, text in configs.items():
        _write(target / name, text)
    _python(target / "python", configs)
    _typescript(target / "typescript" / "dist", configs)


def _files(folder: Path) -> set[str]:
    """Return the relative paths of all generated files: no caches, nothing written by hand."""
    skipped = {"node_modules", "__pycache__", "package-lock.json"}
    found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {str(path) for path in found if skipped.isdisjoint(path.parts)} - HAND_WRITTEN


def _difference(name: str, made: Path, present: Path) -> str:
    if not present.exists():
        return f"missing: {name}\n"
    if not made.exists():
        return f"not generated any more: {name}\n"
    if made.read_bytes() == present.read_bytes():
        return ""
    if name.endswith(".binpb"):
        return f"differs: {name}\n"
    before, after = present.read_text(encoding="utf-8"), made.read_text(encoding="utf-8")
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"generated/{name}", "made now")
    return "".join(list(lines)[:40])


def verify(made: Path) -> int:
    """Compare what was made with generated/ and return an exit code."""
    names = sorted(_files(made) | _files(GENERATED))
    differences = [text for name in names if (text := _difference(name, made / name, GENERATED / name))]
    sys.stdout.write("".join(differences))
    if differences:
        print("generated/ is not what its sources give: run `make protos` and commit the result.", file=sys.stderr)
        return 1
    print(f"generated/ matches its sources ({len(names)} files).")
    return 0


def install(made: Path) -> None:
    """Replace the generated files of generated/ by those made."""
    for name in _files(GENERATED) - _files(made):
        (GENERATED / name).unlink()
    for name in sorted(_files(made)):
        target = GENERATED / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != (made / name).read_bytes():
            shutil.copyfile(made / name, target)
    print(f"generated/ written ({len(_files(made))} files).")


def main() -> int:
    """Generate, then install or compare."""
    parser = argparse.ArgumentParser(description="Generate clients' files from protos/.")
    parser.add_argument("--verify", action="store_true", help="compare with generated/ instead of writing it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kata-generate-") as name:
        generate(Path(name))
        if arguments.verify:
            return verify(Path(name))
        install(Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
