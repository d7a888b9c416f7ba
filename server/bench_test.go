package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/engine"
)

// BenchmarkTinyJobs is how many jobs of a few tiles are done in a second, which is a
// matter of the queue and the disk, not of the device.
func BenchmarkTinyJobs(b *testing.B) { tinyJobs(b, small, 0) }

// BenchmarkJobsOfOneTile is the same for jobs of one tile, each alone and several in a run.
func BenchmarkJobsOfOneTile(b *testing.B) {
	for name, most := range map[string]int{"alone": 1, "together": 4} {
		b.Run(name, func(b *testing.B) { tinyJobs(b, smallScan(0), most) })
	}
}

func tinyJobs(b *testing.B, shape [3]int, together int) {
	const jobs = 200
	for range b.N {
		b.StopTimer()
		o := testOptions(b)
		devices := o.Devices
		devices[0].BatchJobs = together
		o.Devices, o.Bounds.Jobs = nil, 0
		r := start(b, o)
		s := api.Submit{Model: modelID, Inputs: []api.Input{{Upload: r.upload(nifti(b, shape)).ID}}}
		for range jobs {
			r.submit(s)
		}
		r.stop()
		ended := make(chan string, jobs)
		o.Devices = devices
		o.Trace = func(s engine.Span) {
			if s.Name == "job" {
				ended <- s.Facts["state"]
			}
		}
		b.StartTimer()
		r = start(b, o)
		for range jobs {
			require.Equal(b, api.JobDone, <-ended)
		}
		b.StopTimer()
		r.stop()
	}
	b.ReportMetric(float64(jobs*b.N)/b.Elapsed().Seconds(), "jobs/s")
}
