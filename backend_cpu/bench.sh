#!/bin/sh
# temporary: usage bench.sh regex
GOUNET_BENCH_WORKERS=${W:-1} /tmp/cpu.test -test.run xxx -test.bench "Conv/$1" -test.benchtime ${T:-0.3s} | grep Bench | sed 's/Benchmark\S*Conv.//' | awk '{printf "%-42s %6s%% %7s GF %s ms\n",$1,$3,$5,$7}' 
