"""`make image-check`: builds deploy/Dockerfile without a container engine, and runs the fleet of deploy/compose.yaml out of the image.

    built.py PROGRAM

buildah builds the image, in a chroot. The two images that the Dockerfile begins with are not fetched: mmdebstrap makes a tree of the
same release of Debian, and the toolchain of this machine takes the place of the image of Rust. crun runs the containers: another user
than root, no capabilities, a file system that cannot be written. PROGRAM runs the servers and is not what is checked.

What this cannot see: the layers of the published images, and a registry. It needs root and Debian.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import image
import live
import render

PROGRAMS = "buildah", "crun", "mmdebstrap"
USER = 10001
IMAGE = "localhost/leasehold:check"
# The program has 55 MB. With the line numbers that the Dockerfile takes away it has 186 MB.
PROGRAM_MAX_MB = 100


def output(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise render.Refused(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def argument(name):
    """The default of an ARG of the Dockerfile."""
    return re.search(rf"^ARG {name}=(\S+)$", image.DOCKERFILE.read_text(), re.MULTILINE).group(1)


class Builder:
    """buildah, with images and caches in a separate folder. The caches make the next build faster."""

    def __init__(self, folder):
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.environment = os.environ | {"TMPDIR": str(folder), "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
        self.common = ["buildah", "--root", folder / "images", "--runroot", folder / "run", "--storage-driver", "vfs"]

    def run(self, *words):
        return output(*self.common, *words, env=self.environment)

    def imported(self, name, trees, **config):
        """Makes an image from archives and folders, each with its path in the image."""
        container = self.run("from", "scratch")
        try:
            for source, target in trees:
                self.run("add", "--quiet", container, source, target)
            for key, value in config.items():
                self.run("config", f"--{key}", value, container)
            self.run("commit", "--quiet", container, name)
        finally:
            self.run("rm", container)

    def bases(self, release):
        """The base images of the Dockerfile, made from packages of Debian and from the toolchain of this machine."""
        for name, packages in ("base", []), ("rust", ["gcc", "libc6-dev", "ca-certificates"]):
            tree = self.folder / f"{name}.tar"
            include = [f"--include={','.join(packages)}"] if packages else []
            output("mmdebstrap", "--quiet", "--variant=minbase", *include, release, tree)
            trees = [(tree, "/")]
            config = {"env": "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
            if name == "rust":
                toolchain = self.folder / "toolchain"
                shutil.rmtree(toolchain, ignore_errors=True)
                shutil.copytree(output("rustc", "--print", "sysroot"), toolchain, symlinks=True, ignore=shutil.ignore_patterns("share"))
                trees.append((toolchain, "/usr/local/rust"))
                # A mirror of crates may have a certificate that only this machine trusts.
                trees.append(("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt"))
                config["env"] = config["env"].replace("PATH=", "PATH=/usr/local/rust/bin:")
            self.imported(f"localhost/{name}", trees, **config)

    def build(self):
        """Builds the image with everything that buildah prints on the standard error."""
        release = re.search(r"debian:(\w+)-slim$", argument("BASE_IMAGE")).group(1)
        wanted = re.search(r"rust:([\d.]+)-slim-(\w+)$", argument("BUILD_IMAGE"))
        if wanted.group(2) != release:
            yield f"image: BUILD_IMAGE is of {wanted.group(2)}, BASE_IMAGE of {release}"
        version = output("rustc", "--version").split()[1]
        if not f"{version}.".startswith(f"{wanted.group(1)}."):
            print(f"image-check: built with Rust {version} of this machine, and not {wanted.group(1)}", file=sys.stderr)
        began = time.monotonic()
        self.bases(release)
        print(f"image-check: base trees in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        began = time.monotonic()
        words = ["build", "--isolation", "chroot", "--format", "docker", "--pull-never"]
        for name, value in ("BUILD_IMAGE", "localhost/rust"), ("BASE_IMAGE", "localhost/base"), ("VERSION", "1.2.3"), ("REVISION", "abc"):
            words += ["--build-arg", f"{name}={value}"]
        words += ["--file", image.DOCKERFILE, "--tag", IMAGE, render.ROOT]
        command = [str(word) for word in [*self.common, *words]]
        done = subprocess.run(command, env=self.environment, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise render.Refused(f"the image cannot be built: {' '.join(command)}")
        print(f"image-check: built in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def mounted(self):
        """The file system of the image."""
        container = self.run("from", "--pull-never", IMAGE)
        try:
            yield pathlib.Path(self.run("mount", container))
        finally:
            self.run("rm", container)


def description(config):
    """Yields what is wrong with the image itself."""
    labels = config.get("Labels") or {}
    wanted = {
        "User": f"{USER}:{USER}",
        "Entrypoint": ["/usr/bin/tini", "--", "leasehold"],
        "StopSignal": "SIGTERM",
        "WorkingDir": "/tmp",
    }
    for key, value in wanted.items():
        if config.get(key) != value:
            yield f"image: {key} is {config.get(key)!r}, not {value!r}"
    if "/usr/local/bin/leasehold-healthy" not in str(config.get("Healthcheck")):
        yield f"image: the health check is {config.get('Healthcheck')!r}"
    for name, value in ("title", "leasehold"), ("version", "1.2.3"), ("revision", "abc"), ("licenses", "MIT OR Apache-2.0"):
        if labels.get(f"org.opencontainers.image.{name}") != value:
            yield f"image: the label {name} is {labels.get(f'org.opencontainers.image.{name}')!r}"


class Containers(live.Lab):
    """A lab whose processes of Leasehold are containers of the image. They share the network with the servers."""

    def __init__(self, program, folder, tree, config):
        super().__init__(program, folder)
        self.tree, self.config = tree, config
        self.count, self.seen = 0, {}
        self.state = self.folder / "crun"

    def crun(self, *words):
        """crun without control groups, which a machine may not let a process change. crun refuses a machine that has
        both versions of control groups, even if it uses neither. So the second version is hidden from it."""
        hidden = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec crun "$@"'
        return ["unshare", "--mount", "sh", "-c", hidden, "crun", "--root", str(self.state), "--cgroup-manager=disabled", *words]

    def bundle(self, arguments, variables, name):
        """The description of a container, with the settings of its service in compose.yaml."""
        environment = dict(variable.split("=", 1) for variable in self.config["Env"]) | variables
        mounts = [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]},
        ]
        spec = {
            "ociVersion": "1.0.0",
            "root": {"path": str(self.tree), "readonly": True},
            "process": {
                "user": {"uid": USER, "gid": USER},
                "args": self.config["Entrypoint"] + arguments,
                "env": [f"{key}={value}" for key, value in environment.items()],
                "cwd": self.config["WorkingDir"],
                "capabilities": {},
                "noNewPrivileges": True,
            },
            "mounts": mounts,
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]},
            "hostname": name[:63],
        }
        bundle = self.folder / "bundles" / name
        bundle.mkdir(parents=True)
        (bundle / "config.json").write_text(json.dumps(spec))
        return bundle

    def command(self, command, variables, name):
        """A command of the program becomes a command in a container; other commands stay unchanged."""
        if command[0] != self.program:
            return command, self.clean | variables
        bundle = self.bundle(list(command[1:]), variables, name)
        return self.crun("run", "--bundle", str(bundle), name), self.clean

    def start(self, command, variables, log):
        command, environment = self.command(command, variables, pathlib.Path(log).stem)
        with open(self.folder / log, "w") as sink:
            return subprocess.Popen(command, env=environment, cwd=self.folder, stdout=sink, stderr=subprocess.STDOUT)

    def execute(self, command, **variables):
        self.count += 1
        command, environment = self.command(command, variables, f"once-{self.count}")
        return output(*command, env=environment, cwd=self.folder)

    def is_healthy(self, log, variables):
        name = pathlib.Path(log).stem
        check = self.crun("exec", "--user", f"{USER}:{USER}", name, "/usr/local/bin/leasehold-healthy")
        healthy = subprocess.run(check, capture_output=True, check=False).returncode == 0
        if healthy:
            self.seen[name] = self.status(json.loads(output(*self.crun("state", name)))["pid"])
        return healthy

    @staticmethod
    def status(pid):
        """The rights of the first process of a container, as the kernel of this machine sees them."""
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        facts = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        return {key: facts[key] for key in ("Uid", "Gid", "CapEff", "CapBnd", "NoNewPrivs")}


def rights(seen):
    """Yields each container whose process may do more than it needs."""
    if seen.keys() != {"compose-api", "compose-reaper", "compose-worker"}:
        yield f"image: not all containers were healthy once: {sorted(seen)}"
    own = "\t".join([str(USER)] * 4)
    for name, facts in seen.items():
        if facts != {"Uid": own, "Gid": own, "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1"}:
            yield f"image: {name} has the rights {facts}"


def problems(program, folder):
    builder = Builder(folder)
    yield from builder.build()
    config = json.loads(builder.run("inspect", "--type", "image", IMAGE))["Docker"]["config"]
    yield from description(config)
    with builder.mounted() as tree, tempfile.TemporaryDirectory(prefix="leasehold-image-") as place:
        pathlib.Path(place).chmod(0o711)
        if (megabytes := (tree / "usr/local/bin/leasehold").stat().st_size / 1e6) > PROGRAM_MAX_MB:
            yield f"image: the program has {megabytes:.0f} MB"
        lab = Containers(program, place, tree, config)
        told = lab.run("--version")
        print(f"image-check: {told}, {size(tree):.0f} MB", file=sys.stderr, flush=True)
        with lab.servers():
            yield from live.compose_of(lab)
        yield from rights(lab.seen)


def size(tree):
    return sum(path.lstat().st_size for path in tree.rglob("*") if not path.is_symlink()) / 1e6


def main():
    began, program = time.monotonic(), sys.argv[1]
    if os.geteuid() != 0:
        print("image-check: needs root", file=sys.stderr)
        return 1
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        print(f"image-check: not installed: {', '.join(missing)} (sh deploy/install-servers.sh --for-image)", file=sys.stderr)
        return 1
    folder = pathlib.Path(program).resolve().parents[1] / "image-check"
    try:
        found = list(problems(program, folder))
    except (render.Refused, AssertionError) as refused:
        found = [str(refused)]
    for line in found:
        print(line, file=sys.stderr)
    print(f"image-check: {len(found)} problems, {time.monotonic() - began:.1f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
