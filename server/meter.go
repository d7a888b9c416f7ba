package server

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/queue"
)

// meter is what /metrics shows.
type meter struct {
	work
	requests *prometheus.HistogramVec
	waited   prometheus.Histogram
	ran      prometheus.Histogram
	ended    *prometheus.CounterVec
	last     lastTimes
}

// lastTimes are the seconds that the last jobs took.
type lastTimes struct {
	mu   sync.Mutex
	list []float64 // the last one last
}

// mostTimes are kept: few enough to follow what jobs are like now.
const mostTimes = 15

func (l *lastTimes) add(seconds float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, seconds)
	l.list = l.list[max(0, len(l.list)-mostTimes):]
}

// median of them; 0: there are none.
func (l *lastTimes) median() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(l.list))[len(l.list)/2]
}

// seconds are the bounds of histograms, from a status call to the largest scan.
var seconds = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800}

func newMeter(s *Server) *meter {
	m := &meter{
		work:     newWork(s.own),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gounet_http_seconds", Help: "Time of requests.", Buckets: seconds}, []string{"method", "route", "status"}),
		waited:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gounet_job_wait_seconds", Help: "Time of jobs in the queue.", Buckets: seconds}),
		ran:      prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gounet_job_run_seconds", Help: "Time of jobs from begin to end.", Buckets: seconds}),
		ended:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gounet_jobs_ended_total", Help: "Jobs that are over, by state and code of failure."}, []string{"state", "code"}),
	}
	m.registry.MustRegister(m.requests, m.waited, m.ran, m.ended, &gauges{s})
	return m
}

func (m *meter) request(method, route string, status int, took time.Duration) {
	if route == "" {
		route = "none"
	}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other" // a client may send any
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}

// over counts a job that has ended, in this process or in a worker elsewhere. One that
// nobody began was neither waited for nor run.
func (m *meter) over(r *queue.Record) {
	code := ""
	if r.Failed != nil {
		code = r.Failed.Code
	}
	m.ended.WithLabelValues(r.State, code).Inc()
	if r.Started != nil && r.Finished != nil {
		m.waited.Observe(r.Started.Sub(r.Created).Seconds())
		took := r.Finished.Sub(*r.Started).Seconds()
		m.ran.Observe(took)
		if r.State == api.JobDone {
			m.last.add(took)
		}
	}
}

// gauges are what there is at the moment.
type gauges struct{ *Server }

var (
	jobsGauge    = prometheus.NewDesc("gounet_jobs", "Jobs that are kept, by state.", []string{"state"}, nil)
	deadGauge    = prometheus.NewDesc("gounet_jobs_dead", "Jobs that were given up after they had crashed their worker.", nil, nil)
	workersGauge = prometheus.NewDesc("gounet_workers", "Processes with devices that were heard of a moment ago, this one with them.", nil, nil)
	streamsGauge = prometheus.NewDesc("gounet_event_streams", "Streams of events that are open.", nil, nil)
)

// Describe implements prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{jobsGauge, deadGauge, workersGauge, streamsGauge} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	set := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	states := map[string]int{api.JobQueued: 0, api.JobRunning: 0, api.JobDone: 0, api.JobFailed: 0, api.JobCancelled: 0}
	dead := 0
	g.queue.Jobs.Each(func(_ string, b queue.Brief) bool {
		states[b.State.Value()]++
		if b.Dead {
			dead++
		}
		return true
	})
	for state, n := range states {
		set(jobsGauge, float64(n), state)
	}
	set(deadGauge, float64(dead))
	set(workersGauge, float64(g.workers()))
	g.stream.mu.Lock()
	n := 0
	for _, open := range g.stream.n {
		n += open
	}
	g.stream.mu.Unlock()
	set(streamsGauge, float64(n))
}
