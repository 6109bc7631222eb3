# class: controls
# task: S
# tests: 1
# expect: PASS
# tries: nothing; imports what such programs import
import abc
import array
import base64
import bisect
import calendar
import cmath
import collections
import contextlib
import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import heapq
import io
import itertools
import json
import math
import numbers
import operator
import os
import pprint
import queue
import random
import re
import statistics
import string
import struct
import textwrap
import threading
import time
import typing
import zlib
from math import *

print(2 * int(input()))
