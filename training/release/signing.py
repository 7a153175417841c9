"""Sign a bundle with a private key (OpenSSF Model Signing), and verify a signed one. Needs the extra `signing`.

`model.sig` covers every other file of the bundle. `model.pub` is the public key: it proves that nothing was changed
since the signing; whose key it is, its publisher must say elsewhere.
"""

import os
import shutil
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from training.outputs import file_sha256

SIGNATURE, PUBLIC_KEY = "model.sig", "model.pub"


def public_key(key: Path) -> bytes:
    """The public key of a private one, as PEM; raises ValueError that says what to do."""
    if find_spec("model_signing") is None:
        raise ValueError("--sign: model-signing is not installed, install the extra `signing` first")
    from cryptography.hazmat.primitives import serialization  # of the extra
    from model_signing import signing

    try:
        signing.Config().use_elliptic_key_signer(private_key=key, password=password())
        private = serialization.load_pem_private_key(key.read_bytes(), password())
    except (OSError, ValueError, TypeError, AttributeError) as error:  # AttributeError: another kind of key
        raise ValueError(
            f"--sign {key}: no private key in PEM of a curve that can sign ({error}): make one with `openssl ecparam "
            "-name prime256v1 -genkey -noout -out KEY`; the password of an encrypted one goes in $SIGNING_KEY_PASSWORD"
        ) from None
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(serialization.Encoding.PEM, kind)


def place_key(folder: Path, key: Path | None) -> str | None:
    """Put the public key into a folder, for its card to name, and remove an older signature; returns its sha256."""
    (folder / SIGNATURE).unlink(missing_ok=True)
    (folder / PUBLIC_KEY).unlink(missing_ok=True)
    if key is None:
        return None
    (folder / PUBLIC_KEY).write_bytes(public_key(key))
    return file_sha256(folder / PUBLIC_KEY)


def password() -> Any:  # model-signing says str, and needs bytes
    return os.environ.get("SIGNING_KEY_PASSWORD", "").encode() or None


def sign(folder: Path, key: Path | None) -> None:
    """Add `model.sig` over all other files of a folder, among them `model.pub`; nothing without a key.

    Beside the folder a copy is kept, and used again while it fits: every signature of the same files is another one.
    """
    if key is None:
        return
    from model_signing import signing

    kept = folder.with_suffix(".sig")
    with suppress(OSError, ValueError):
        shutil.copyfile(kept, folder / SIGNATURE)
        verify(folder)
        return
    signer = signing.Config().use_elliptic_key_signer(private_key=key, password=password())
    signer.set_hashing_config(all_but_signature()).sign(folder, folder / SIGNATURE)
    shutil.copyfile(folder / SIGNATURE, kept)


def verify(folder: Path) -> str:
    """The fingerprint of the key that signed a bundle; raises ValueError naming the file that was changed since."""
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying

    try:
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=folder / PUBLIC_KEY)
        verifier.set_hashing_config(all_but_signature()).verify(folder, folder / SIGNATURE)
    except (InvalidSignature, ValueError, LookupError, OSError) as error:
        said = str(error).split(": Expected")[0] or "not signed by this key"
        raise ValueError(f"{SIGNATURE} doesn't fit the files ({said})") from error
    return file_sha256(folder / PUBLIC_KEY)


def all_but_signature() -> Any:
    from model_signing import hashing

    # the Hub's cache is made of links
    return hashing.Config().set_ignored_paths(paths=[SIGNATURE]).set_allow_symlinks(True)
