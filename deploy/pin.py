#!/usr/bin/env python3
"""Pin images by digest and GitHub actions by commit, so that what was checked is what runs; needs a network.

A tag can be moved to other content, a digest can't. Registries are asked through their HTTP API (version 2), which Docker Hub
and all others speak, Git through `git ls-remote`. Files are written when every answer is there. Run it again to follow tags.
"""

import argparse
import re
import subprocess
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path

import httpx

from ohlcv_ta.data.io import write_atomic

FILES = ("deploy/Dockerfile", "deploy/compose.yaml", "deploy/kubernetes/**/*.yaml", ".github/workflows/*.yml")
OURS = "ohlcv-ta" # built from the Dockerfile, in no registry
IMAGE = re.compile(r"^(?P<before>(?:[ -]*image: |FROM ))(?P<name>[\w.-]+(?::\d+)?(?:/[\w.-]+)*):(?P<tag>[\w.-]+)"
                   r"(?P<pin>@sha256:[0-9a-f]{64})?(?=\s)", re.M)
ACTION = re.compile(r"(?P<before>\buses: )(?P<name>[\w.-]+/[\w./-]+)@(?:(?P<pin>[0-9a-f]{40}) # )?(?P<tag>[\w./-]+)(?=\s)")
MANIFESTS = ("application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
             "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json")


def address_of(name, mirror=None):
    "Return the registry of an image and its path there."
    first, _, rest = name.partition("/")
    elsewhere = rest and ("." in first or ":" in first)
    if elsewhere: return mirror or f"https://{first}", rest
    return mirror or "https://registry-1.docker.io", name if rest else f"library/{name}"


def token_for(client, challenge):
    "Return the token that a registry asks for, which for public images anybody gets."
    asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    if "realm" not in asked: raise ValueError("the registry asks for a login")
    answer = client.get(asked.pop("realm"), params=asked).raise_for_status().json()
    return answer.get("token") or answer["access_token"]


def digest_of(client, name, tag, mirror=None):
    "Return the digest of what a tag names now, computed from the manifest itself."
    registry, path = address_of(name, mirror)
    address, headers = f"{registry}/v2/{path}/manifests/{tag}", {"Accept": MANIFESTS}
    answer = client.get(address, headers=headers)
    if answer.status_code == 401:
        headers["Authorization"] = f"Bearer {token_for(client, answer.headers.get('www-authenticate', ''))}"
        answer = client.get(address, headers=headers)
    digest = f"sha256:{sha256(answer.raise_for_status().content).hexdigest()}"
    if answer.headers.get("docker-content-digest", digest) != digest: raise ValueError("the answer is not what its digest says")
    return digest


def commit_of(name, tag, git):
    "Return the commit that a tag of an action names now."
    repository = f"{git}/{'/'.join(name.split('/')[:2])}"
    command = ["git", "ls-remote", repository, f"refs/tags/{tag}", f"refs/tags/{tag}^{{}}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode: raise ValueError(done.stderr.strip().splitlines()[-1])
    if not done.stdout: raise ValueError(f"{repository} has no tag {tag}")
    return done.stdout.splitlines()[-1].split()[0] # an annotated tag's commit comes after the tag itself


def pins(text):
    "Yield what can be pinned in a text."
    yield from (found for found in IMAGE.finditer(text) if found["name"] != OURS)
    yield from ACTION.finditer(text)


def pinned(text, digest, commit):
    "Return a text with every image and every action pinned."
    def image(found):
        if found["name"] == OURS: return found[0]
        return f"{found['before']}{found['name']}:{found['tag']}@{digest(found['name'], found['tag'])}"

    def action(found):
        return f"{found['before']}{found['name']}@{commit(found['name'], found['tag'])} # {found['tag']}"

    return ACTION.sub(action, IMAGE.sub(image, text))


def named(answer):
    "Return the same question asked once for each tag, with its name in front of what goes wrong."
    @cache
    def asked(name, tag):
        try:
            return answer(name, tag)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise SystemExit(f"pin.py: {name}, tag {tag}: {error}. Nothing was written.") from None
    return asked


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="only list what is not pinned; exit code 1 if there is any")
    options.add_argument("--folder", type=Path, default=Path(__file__).parents[1], help="the clone; this one by default")
    options.add_argument("--registry", help="address of a mirror that is asked in place of all registries")
    options.add_argument("--git", default="https://github.com", help="where actions are; https://github.com by default")
    given = options.parse_args()
    texts = {path: path.read_text(encoding="utf-8") for pattern in FILES for path in sorted(given.folder.glob(pattern))}
    if given.check:
        loose = [f"{path}: {found['name']}:{found['tag']}" for path, text in texts.items() for found in pins(text)
                 if not found["pin"]]
        sys.exit("\n".join([*loose, "pin.py: these are not pinned; run make pin"]) if loose else 0)
    with httpx.Client(timeout=30, follow_redirects=True) as client:
        digest = named(lambda name, tag: digest_of(client, name, tag, given.registry))
        commit = named(lambda name, tag: commit_of(name, tag, given.git))
        after = {path: pinned(text, digest, commit) for path, text in texts.items()}
    for path, text in after.items():
        if text != texts[path]: write_atomic(path, text)
        print(f"{path}: {sum(1 for _ in pins(text))} pinned")


if __name__ == "__main__":
    main()
