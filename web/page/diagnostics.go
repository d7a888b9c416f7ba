package page

import (
	"fmt"
	"math"
	"strings"
)

// Section is a part of the diagnostics.
type Section struct {
	Name string
	Rows [][2]string
}

// Diagnostics are the facts that help to find out why something is slow or fails.
// There is no name of a patient, scan or file in them.
func (p *Page) Diagnostics() []Section {
	f := p.Host.Facts()
	graphics := Section{"Graphics", [][2]string{{"Computes", p.Adapter()}, {"Browser", BrowserName(f.Agent)}}}
	if why := p.NoGPU(); why != "" {
		graphics.Rows = append(graphics.Rows, [2]string{"No GPU, because", why})
	}
	graphics.Rows = append(graphics.Rows, f.Adapter...)
	limits := Section{"Limits", f.Limits}
	if p.Ready != nil {
		for _, d := range p.Ready.Devices {
			limits.Rows = append(limits.Rows, [2]string{d.Kind + ", largest buffer", Size(d.BufferBytes)}, [2]string{d.Kind + ", largest value", Size(d.ValueBytes)})
		}
	}
	run := Section{Name: "Last run", Rows: [][2]string{{"", "none yet"}}}
	memory := Section{Name: "Memory"}
	if d := p.Run.Last; d != nil {
		run.Rows = [][2]string{
			{"Model", p.Run.LastModel},
			{"On", d.Device.Name},
			{"Scan read", Span(ms(d.Times.ReadMS))},
			{"Scan prepared", Span(ms(d.Times.PreprocessMS))},
			{"Model to the device", Span(ms(d.Times.ModelMS))},
			{"Tiles", fmt.Sprintf("%d in %s", d.Memory.Tiles, Plural(d.Memory.Runs, "run", "runs"))},
			{"Tiles and grid", Span(ms(d.Times.SegmentMS))},
			{"Whole run", Span(ms(d.Times.TotalMS))},
		}
		memory.Rows = append(memory.Rows, [2]string{"Device, planned", Size(d.Memory.DeviceBytes)}, [2]string{"Worker, at most", Size(d.Memory.HostBytes)})
	}
	run.Rows = append(run.Rows, [2]string{"Longest main-thread task", Count(int64(math.Round(f.LongestTask))) + " ms"})
	memory.Rows = append(memory.Rows, [2]string{"Page", Size(f.HeapBytes)})
	if p.Scan != nil {
		memory.Rows = append(memory.Rows, [2]string{"Scan", fmt.Sprintf("%s, %s", Matrix(p.Scan.Look.Grid), p.Scan.Kind)})
	}
	memory.Rows = append(memory.Rows, [2]string{"Stored models", fmt.Sprintf("%s of %s", Size(p.Stored.Used), Size(p.Stored.Allowed))})
	worker := "not started"
	start := ""
	if p.Ready != nil {
		worker, start = p.Ready.Version, Span(ms(p.Ready.StartMS))
	}
	versions := Section{"Versions", [][2]string{{"Page", f.Version}, {"Worker", worker}, {"Worker ready after", start}}}
	state := "connected"
	if !f.Online {
		state = "no network"
	}
	network := Section{"Network", [][2]string{{"State", state}, {"Sent by this page", Size(f.Sent)}, {"Server", p.Server.Name()}}}
	return []Section{graphics, limits, run, memory, versions, network}
}

// browsers are how each tells its version: the one that says so of itself before what it
// is like.
var browsers = [][2]string{{"Edge", "Edg/"}, {"Edge", "EdgA/"}, {"Opera", "OPR/"}, {"Firefox", "Firefox/"}, {"Firefox", "FxiOS/"}, {"Chromium", "Chrome/"}, {"Chromium", "CriOS/"}, {"Safari", "Version/"}}

// systems are those that a user agent names, too.
var systems = [][2]string{{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iOS"}, {"iPad", "iPadOS"}, {"CrOS", "ChromeOS"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"}}

// BrowserName is a user agent as people say it, or all of it where it is not known.
func BrowserName(agent string) string {
	for _, b := range browsers {
		_, version, ok := strings.Cut(agent, b[1])
		if !ok {
			continue
		}
		version, _, _ = strings.Cut(version, " ")
		for _, s := range systems {
			if strings.Contains(agent, s[0]) {
				return b[0] + " " + strings.TrimSuffix(version, ".0.0.0") + ", " + s[1]
			}
		}
	}
	return agent
}

// DiagnosticsText is the same as text.
func (p *Page) DiagnosticsText() string {
	var b strings.Builder
	b.WriteString("gounet diagnostics\n")
	for _, s := range p.Diagnostics() {
		fmt.Fprintf(&b, "\n%s\n", s.Name)
		for _, r := range s.Rows {
			fmt.Fprintf(&b, "  %s: %s\n", r[0], r[1])
		}
	}
	return b.String()
}

// CopyDiagnostics puts the text on the clipboard.
func (p *Page) CopyDiagnostics() {
	p.Host.CopyText(p.DiagnosticsText())
	p.Host.Announce("Copied")
}
