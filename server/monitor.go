package server

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gounet/gounet/internal/api"
)

// work is what a process measures of what its devices do: that of a server as well as
// that of a worker. It is an engine.Observer.
type work struct {
	registry *prometheus.Registry
	stages   *prometheus.HistogramVec
	tiles    prometheus.Counter
}

// newWork has a registry with the devices of this process in it.
func newWork(devices func() []api.ServerDevice) work {
	w := work{
		registry: prometheus.NewRegistry(),
		stages:   prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gounet_job_stage_seconds", Help: "Time of the stages of jobs.", Buckets: seconds}, []string{"stage"}),
		tiles:    prometheus.NewCounter(prometheus.CounterOpts{Name: "gounet_tiles_total", Help: "Tiles that went through a network, mirrored ones and folds counted each."}),
	}
	w.registry.MustRegister(w.stages, w.tiles, deviceGauges(devices),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return w
}

func (w work) handler() http.Handler {
	return promhttp.HandlerFor(w.registry, promhttp.HandlerOpts{})
}

// Stage and Tiles implement engine.Observer.
func (w work) Stage(stage string, took time.Duration) {
	w.stages.WithLabelValues(stage).Observe(took.Seconds())
}

// Tiles implements engine.Observer.
func (w work) Tiles(n int) { w.tiles.Add(float64(max(n, 0))) }

// deviceGauges are what devices are like at the moment.
type deviceGauges func() []api.ServerDevice

var (
	memoryGauge = prometheus.NewDesc("gounet_device_memory_bytes", "Memory of devices: used by models and the job that runs, and total.", []string{"device", "kind"}, nil)
	upGauge     = prometheus.NewDesc("gounet_device_up", "1 if the device is open.", []string{"device"}, nil)
)

// Describe implements prometheus.Collector.
func (g deviceGauges) Describe(to chan<- *prometheus.Desc) { to <- memoryGauge; to <- upGauge }

// Collect implements prometheus.Collector.
func (g deviceGauges) Collect(to chan<- prometheus.Metric) {
	set := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for i, d := range g() {
		name := strconv.Itoa(i) + " " + d.Name
		set(memoryGauge, float64(d.UsedBytes), name, "used")
		set(memoryGauge, float64(d.TotalBytes), name, "total")
		up := 1.0
		if d.State == "lost" {
			up = 0
		}
		set(upGauge, up, name)
	}
}

// Monitor shows how a worker without a server of its own is: /metrics, /healthz and
// /readyz, which say nothing of anybody's jobs. It is the engine.Observer of its engine.
type Monitor struct {
	work
	mux *http.ServeMux
}

// NewMonitor has the devices, and asks ready why no job can be taken at the moment.
func NewMonitor(devices func() []api.ServerDevice, ready func(context.Context) error) *Monitor {
	m := &Monitor{work: newWork(devices), mux: http.NewServeMux()}
	m.mux.Handle("GET /metrics", m.handler())
	m.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "alive") })
	m.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r.Context()); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ready")
	})
	return m
}

// ServeHTTP implements http.Handler.
func (m *Monitor) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// own are the devices of this process.
func (s *Server) own() []api.ServerDevice {
	if s.engine == nil {
		return []api.ServerDevice{}
	}
	return s.engine.Devices()
}

// devices are those of this process and of the workers elsewhere, by their names.
func (s *Server) devices() []api.ServerDevice {
	all := s.own()
	others := s.queue.Others()
	for _, name := range slices.Sorted(maps.Keys(others)) {
		all = append(all, others[name]...)
	}
	return all
}

// workers are the processes with devices.
func (s *Server) workers() int {
	n := len(s.queue.Others())
	if s.engine != nil {
		n++
	}
	return n
}
