"""A tour of all that an installation does for the accounts that it runs under, by kubectl and helm."""

import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from certs.naming import UnusableNameError
from lockkeeper.certificates.configurations import CONFIGURATIONS, Configurations
from lockkeeper.certificates.secret_store import SECRETS, SecretStore
from policy.cluster.errors import NotFound
from policy.cluster.protocol import QUOTA_LEDGERS, WORKFLOWS, JsonPatch, MergePatch
from policy.core import marks
from policy.core.patches import JsonObject, Op, PatchOp
from policy.core.prepared import prepare
from policy.core.workflow import Metadata
