"""nnU-Net's pools as threads, and as processes again afterwards."""

import multiprocessing
import os

from cspine.study.training.threads import pools_as_threads


def test_a_pool_of_spawned_processes_works_in_this_process():
    with pools_as_threads():
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            assert set(pool.starmap(lambda number: os.getpid() + 0 * number, [(1,), (2,)])) == {os.getpid()}
        assert multiprocessing.get_context("fork").get_start_method() == "fork"
    assert multiprocessing.get_context("spawn").get_start_method() == "spawn"
