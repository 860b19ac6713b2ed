from __future__ import annotations
import math, os
from datetime import timedelta, UTC
import pytest
from hypothesis import given, settings, HealthCheck, strategies as st
from tracker.store import derive
from oracle import Oracle
from worlds import *
