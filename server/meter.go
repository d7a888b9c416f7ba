package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/queue"
)

// meter is what /metrics shows.
type meter struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	stages   *prometheus.HistogramVec
	waited   prometheus.Histogram
	ran      prometheus.Histogram
	tiles    prometheus.Counter
	ended    *prometheus.CounterVec
}

// seconds are the bounds of histograms, from a status call to the largest scan.
var seconds = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800}

func newMeter(s *Server) *meter {
	m := &meter{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gounet_http_seconds", Help: "Time of requests.", Buckets: seconds}, []string{"method", "route", "status"}),
		stages:   prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gounet_job_stage_seconds", Help: "Time of the stages of jobs.", Buckets: seconds}, []string{"stage"}),
		waited:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gounet_job_wait_seconds", Help: "Time of jobs in the queue.", Buckets: seconds}),
		ran:      prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gounet_job_run_seconds", Help: "Time of jobs from begin to end.", Buckets: seconds}),
		tiles:    prometheus.NewCounter(prometheus.CounterOpts{Name: "gounet_tiles_total", Help: "Tiles that went through a network, mirrored ones and folds counted each."}),
		ended:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gounet_jobs_ended_total", Help: "Jobs that are over, by state and code of failure."}, []string{"state", "code"}),
	}
	m.registry.MustRegister(m.requests, m.stages, m.waited, m.ran, m.tiles, m.ended, &gauges{s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *meter) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
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

// Stage, Tiles and Ended implement engine.Observer.
func (m *meter) Stage(stage string, took time.Duration) {
	m.stages.WithLabelValues(stage).Observe(took.Seconds())
}

func (m *meter) Tiles(n int) { m.tiles.Add(float64(max(n, 0))) }

func (m *meter) Ended(state, code string, waited, ran time.Duration) {
	m.ended.WithLabelValues(state, code).Inc()
	m.waited.Observe(waited.Seconds())
	m.ran.Observe(ran.Seconds())
}

// gauges are what there is at the moment.
type gauges struct{ *Server }

var (
	jobsGauge    = prometheus.NewDesc("gounet_jobs", "Jobs that are kept, by state.", []string{"state"}, nil)
	deadGauge    = prometheus.NewDesc("gounet_jobs_dead", "Jobs that were given up after they had crashed their worker.", nil, nil)
	memoryGauge  = prometheus.NewDesc("gounet_device_memory_bytes", "Memory of devices: used by models and the job that runs, and total.", []string{"device", "kind"}, nil)
	upGauge      = prometheus.NewDesc("gounet_device_up", "1 if the device is open.", []string{"device"}, nil)
	streamsGauge = prometheus.NewDesc("gounet_event_streams", "Streams of events that are open.", nil, nil)
)

// Describe implements prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{jobsGauge, deadGauge, memoryGauge, upGauge, streamsGauge} {
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
	for i, d := range g.devices() {
		name := strconv.Itoa(i) + " " + d.Name
		set(memoryGauge, float64(d.UsedBytes), name, "used")
		set(memoryGauge, float64(d.TotalBytes), name, "total")
		up := 1.0
		if d.State == "lost" {
			up = 0
		}
		set(upGauge, up, name)
	}
	g.stream.mu.Lock()
	n := 0
	for _, open := range g.stream.n {
		n += open
	}
	g.stream.mu.Unlock()
	set(streamsGauge, float64(n))
}
