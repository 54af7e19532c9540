# SPDX-License-Identifier: Apache-2.0
"""Key agreement of two parties: ephemeral X25519, and HKDF bound to what both have seen."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from jali.core.errors import KeySpent, LowOrderPointError, ProtocolAbort
from jali.crypto.hashing import hkdf
from jali.crypto.secret import Secret

__all__ = ["PUBLIC_KEY_BYTES", "EphemeralKey"]

PUBLIC_KEY_BYTES = 32


class EphemeralKey(Secret):
    """A private key that makes one agreement and is then forgotten.

    Security: the shared key is secret under the gap Diffie-Hellman assumption against who only listens. Who the peer
    *is* must come from elsewhere: send the public keys over an authenticated channel, or sign the transcript.
    References: RFC 7748 section 6.1; RFC 5869.

    Example:
        >>> alice, bob = EphemeralKey(), EphemeralKey()
        >>> alice_public, bob_public = alice.public, bob.public
        >>> alice.agree(bob_public, transcript=b"hello") == bob.agree(alice_public, transcript=b"hello")
        True
    """

    __slots__ = ("_private", "public")

    def __init__(self) -> None:
        """Draw a key pair from the operating system."""
        private = X25519PrivateKey.generate()
        self.public = private.public_key().public_bytes_raw()
        self._private: X25519PrivateKey | None = private

    def agree(self, peer_public: bytes, *, transcript: bytes, size_bytes: int = 32) -> bytes:
        """The key shared with the owner of `peer_public`, for this transcript (both sides must give the same).

        Raises: LowOrderPointError if the peer's key has low order or is no key; KeySpent at the second call;
        ProtocolAbort if the peer sent this party's own key back.
        """
        if self._private is None:
            raise KeySpent("this ephemeral key has made its agreement; draw a new one for each session")
        if len(peer_public) != PUBLIC_KEY_BYTES:
            raise LowOrderPointError(f"expected a public key of {PUBLIC_KEY_BYTES} bytes, found {len(peer_public)}")
        if peer_public == self.public:
            raise ProtocolAbort("the peer sent this party's own public key back: messages are being reflected")
        try:
            secret = self._private.exchange(X25519PublicKey.from_public_bytes(peer_public))
        except ValueError:  # the product is zero (RFC 7748, section 6.1)
            raise LowOrderPointError("the peer's public key is a point of low order: it would fix the key") from None
        self._private = None
        publics = sorted((self.public, bytes(peer_public)))
        return hkdf(secret, "jali.crypto.agreement.v1", *publics, transcript, size_bytes=size_bytes)
