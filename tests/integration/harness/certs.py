# SPDX-License-Identifier: Apache-2.0
"""Certificates and keys, made by the openssl command for one run of the tests."""
import ssl
import subprocess
from pathlib import Path


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class Authority:
    """An own CA in a folder, and leaves signed by it."""

    def __init__(self, folder, name="holdfast test CA"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30,
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.cert)

    def leaf(self, *names, label=None):
        """A (cert, key) pair of files for these DNS names and addresses."""
        label = label or names[0].replace("*", "any")
        cert, key = self.folder / f"{label}.pem", self.folder / f"{label}.key"
        request, extra = self.folder / f"{label}.csr", self.folder / f"{label}.ext"
        alternatives = ",".join(("IP:" if n.replace(".", "").isdigit() or ":" in n else "DNS:") + n for n in names)
        extra.write_text(f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={names[0]}",
                "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", 30,
                "-extfile", extra, "-out", cert)
        return cert, key

    def client_context(self):
        return ssl.create_default_context(cafile=str(self.cert))

    def server_context(self, *names):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert, key = self.leaf(*names, label="server-" + names[0])
        context.load_cert_chain(cert, key)
        return context


class SigningKeys:
    """One key for each of the JWT algorithms: secrets in files, RSA and EC pairs in PEM."""

    CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.private, self.public = {}, {}
        for bits in (256, 384, 512):
            path = self.folder / f"HS{bits}.secret"
            path.write_text(f"hs{bits}-" + "x7Qm" * 20)
            self.private[f"HS{bits}"] = self.public[f"HS{bits}"] = path
        rsa, rsa_public = self.folder / "rsa.key", self.folder / "rsa.pub"
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", rsa)
        openssl("pkey", "-in", rsa, "-pubout", "-out", rsa_public)
        for alg in ("RS256", "RS384", "RS512"):
            self.private[alg], self.public[alg] = rsa, rsa_public
        for alg, curve in self.CURVES.items():
            key, public = self.folder / f"{alg}.key", self.folder / f"{alg}.pub"
            openssl("genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}", "-out", key)
            openssl("pkey", "-in", key, "-pubout", "-out", public)
            self.private[alg], self.public[alg] = key, public
