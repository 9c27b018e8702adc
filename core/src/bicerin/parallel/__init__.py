"""Several processes that train one net together, each on records of its own, connected by a `Communicator`."""

from bicerin.parallel.communicator import Communicator as Communicator
from bicerin.parallel.communicator import Pending as Pending
from bicerin.parallel.communicator import communicators as communicators
from bicerin.parallel.communicator import connect as connect
from bicerin.parallel.data_parallel import DataParallel as DataParallel
