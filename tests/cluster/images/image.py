#!/usr/bin/env python3
"""Makes an OCI image archive without a daemon and without a registry.

The same files give the same digest: times, owners and order are fixed.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tarfile

MEDIA = "application/vnd.oci.image."
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Layer:
    """A tar of files that all belong to root and can't be written by anyone else."""

    def __init__(self):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.PAX_FORMAT)
        self.seen = set()

    def _info(self, path, kind, mode):
        info = tarfile.TarInfo(path.lstrip("/"))
        info.type, info.mode = kind, mode
        return info

    def folder(self, path):
        if path in self.seen or path in ("", "/"):
            return
        self.folder(os.path.dirname(path))
        self.seen.add(path)
        self.tar.addfile(self._info(path, tarfile.DIRTYPE, 0o1777 if path == "/tmp" else 0o755))

    def file(self, target, source):
        if target in self.seen:
            return
        self.folder(os.path.dirname(target))
        self.seen.add(target)
        status = os.stat(source)
        info = self._info(target, tarfile.REGTYPE, 0o755 if status.st_mode & 0o111 else 0o644)
        info.size = status.st_size
        with open(source, "rb") as content:
            self.tar.addfile(info, content)

    def link(self, target, to):
        self.folder(os.path.dirname(target))
        info = self._info(target, tarfile.SYMTYPE, 0o777)
        info.linkname = to
        self.tar.addfile(info)

    def tree(self, target, source):
        for folder, subfolders, files in os.walk(source):
            subfolders.sort()
            for name in sorted(files + [s for s in subfolders if os.path.islink(os.path.join(folder, s))]):
                path = os.path.join(folder, name)
                inside = os.path.normpath(os.path.join(target, os.path.relpath(path, source)))
                if os.path.islink(path):
                    self.link(inside, os.readlink(path))
                else:
                    self.file(inside, path)

    def libraries(self, program):
        """The shared libraries of `program`, where its loader looks for them."""
        listing = subprocess.check_output(["ldd", program], text=True)
        for line in listing.splitlines():
            path = line.split("=>")[-1].split()[0]
            if path.startswith("/"):
                self.file(path, os.path.realpath(path))

    def add(self, target, source):
        if source.startswith("ldd:"):
            self.libraries(source[len("ldd:"):])
        elif os.path.isdir(source):
            self.tree(target, source)
        else:
            self.file(target, source)

    def finish(self):
        self.tar.close()
        return self.bytes.getvalue()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", help="archive to write")
    parser.add_argument("reference", help="docker.io/local/name:tag")
    parser.add_argument("--entrypoint", required=True, help="a JSON list")
    parser.add_argument("--user", default="65532:65532")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--max-mb", type=float, help="fail when the compressed layer is larger")
    parser.add_argument("files", nargs="*", metavar="TARGET=SOURCE", help="a file, a folder, or ldd:PROGRAM for its libraries")
    return parser.parse_intermixed_args()


def main():
    arguments = parse_arguments()
    layer = Layer()
    layer.folder("/tmp")
    for pair in arguments.files:
        layer.add(*pair.split("=", 1))
    content = layer.finish()
    compressed = gzip.compress(content, compresslevel=6, mtime=0)
    megabytes = len(compressed) / 1e6
    if arguments.max_mb and megabytes > arguments.max_mb:
        sys.exit(f"{arguments.reference} has {megabytes:.1f} MB compressed; the limit is {arguments.max_mb:g} MB")

    blobs = {}

    def blob(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": MEDIA + kind, "digest": "sha256:" + digest, "size": len(data)}

    where = {"architecture": ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux"}
    config = {
        **where,
        "config": {
            "Entrypoint": json.loads(arguments.entrypoint),
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", *arguments.env],
            "User": arguments.user,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(content).hexdigest()]},
    }
    manifest = blob(
        json.dumps({
            "schemaVersion": 2,
            "mediaType": MEDIA + "manifest.v1+json",
            "config": blob(json.dumps(config).encode(), "config.v1+json"),
            "layers": [blob(compressed, "layer.v1.tar+gzip")],
        }).encode(),
        "manifest.v1+json",
    )
    manifest["platform"] = where
    manifest["annotations"] = {
        "io.containerd.image.name": arguments.reference,
        "org.opencontainers.image.ref.name": arguments.reference.rsplit(":", 1)[-1],
    }
    index = json.dumps({"schemaVersion": 2, "mediaType": MEDIA + "index.v1+json", "manifests": [manifest]}).encode()
    entries = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index}
    entries |= {"blobs/sha256/" + digest: data for digest, data in blobs.items()}
    partial = f"{arguments.output}.{os.getpid()}"
    with tarfile.open(partial, "w") as archive:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            archive.addfile(info, io.BytesIO(data))
    os.replace(partial, arguments.output)
    print(f"{arguments.reference}  {megabytes:.1f} MB  {manifest['digest']}")


main()
