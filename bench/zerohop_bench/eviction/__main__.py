"""`python -m zerohop_bench.eviction`: the same as `zerohop bench eviction`."""

from zerohop.cli.bench_eviction import eviction

if __name__ == "__main__":
    eviction(prog_name="python -m zerohop_bench.eviction")
