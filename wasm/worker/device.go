package worker

import (
	"fmt"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/internal/api"
)

// opened is a device, and what is said of it.
type opened struct {
	backend.Device
	kind     string
	software bool
}

func (d *opened) describe(why string) api.Device {
	l := d.Limits()
	return api.Device{
		Kind: d.kind, Name: d.Name(), Why: why, Software: d.software,
		BufferBytes: l.BufferBytes, ValueBytes: l.ValueBytes, TotalBytes: l.TotalBytes,
	}
}

// Keys of Worker.devices: an adapter of software is another device than a GPU.
const (
	gpu      = "gpu"
	software = "software"
	cpu      = "cpu"
)

// opening opens the device of a key, or returns the one that is open.
func (w *Worker) opening(key string) (*opened, error) {
	if d := w.devices[key]; d != nil {
		return d, nil
	}
	d := &opened{kind: api.DeviceWebGPU, software: key == software}
	var err error
	if key == cpu {
		d.kind = api.DeviceCPU
		d.Device, err = w.host.CPU()
	} else {
		d.Device, err = w.host.WebGPU(key == software)
	}
	if err != nil {
		return nil, fail(api.FailedDevice, err)
	}
	w.devices[key] = d
	return d, nil
}

// choose is the device for a request, and why: a real GPU before the CPU, and the
// CPU before a GPU of software, whose kernels run on the same processor but slower.
func (w *Worker) choose(kind string) (*opened, string, error) {
	const asked = "it was asked for"
	switch kind {
	case api.DeviceCPU:
		d, err := w.opening(cpu)
		return d, asked, err
	case api.DeviceWebGPU:
		d, err := w.opening(gpu)
		if err != nil {
			d, err = w.opening(software)
		}
		return d, asked, err
	case "":
		d, err := w.opening(gpu)
		if err == nil {
			return d, "it is a GPU", nil
		}
		why := err.Error()
		d, err = w.opening(cpu)
		return d, why, err
	}
	return nil, "", fail(api.FailedRequest, fmt.Errorf("device %q: wanted %s, %s or nothing", kind, api.DeviceWebGPU, api.DeviceCPU))
}

// hello says what there is.
func (w *Worker) hello() *api.Ready {
	r := &api.Ready{Version: w.host.Version}
	for _, key := range []string{gpu, cpu} {
		d, err := w.opening(key)
		if err == nil {
			r.Devices = append(r.Devices, d.describe(""))
			continue
		}
		kind := map[string]string{gpu: api.DeviceWebGPU, cpu: api.DeviceCPU}[key]
		r.Missing = append(r.Missing, api.Device{Kind: kind, Why: err.Error()})
	}
	if w.host.StartMS != nil {
		r.StartMS = w.host.StartMS()
	}
	return r
}

// lose forgets a GPU that is gone, and what was on it.
func (w *Worker) lose() {
	w.forget()
	for _, key := range []string{gpu, software} {
		if d := w.devices[key]; d != nil {
			_ = d.Close() // it is gone
			delete(w.devices, key)
		}
	}
}
