package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/gounet/gounet/core/train"
)

// settingsInfo is what `gounet info settings.json --json` prints.
type settingsInfo struct {
	Kind     string         `json:"kind"` // settings
	Path     string         `json:"path"`
	Settings map[string]any `json:"settings"`
}

// readSettings reads the settings of a training or prediction.
func readSettings(path string) (*settingsInfo, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &settingsInfo{Kind: "settings", Path: path}
	if err := json.Unmarshal(text, &s.Settings); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if s.Settings["version"] == nil || s.Settings["device"] == nil {
		return nil, fmt.Errorf("%s: no settings of a run: wanted a version and a device among them", path)
	}
	return s, nil
}

func (s *settingsInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "settings\t%s\n", s.Path)
	for _, name := range slices.Sorted(maps.Keys(s.Settings)) {
		value := s.Settings[name]
		if list, ok := value.([]any); ok {
			value = join(list, ", ")
		}
		if value == nil || value == "" {
			value = "–"
		}
		fmt.Fprintf(t, "%s\t%v\n", name, value)
	}
	return t.Flush()
}

// logInfo is what `gounet info log.jsonl --json` prints.
type logInfo struct {
	Kind   string        `json:"kind"` // log
	Path   string        `json:"path"`
	Epochs []train.Epoch `json:"epochs"`
}

// readLog reads the log of a run folder.
func readLog(path string) (report, error) {
	epochs, err := train.ReadLog(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return &logInfo{Kind: "log", Path: path, Epochs: epochs}, nil
}

func (l *logInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "log\t%s\n", l.Path)
	fmt.Fprintf(t, "epochs\t%d\n", len(l.Epochs))
	if len(l.Epochs) > 0 {
		last, best := l.Epochs[len(l.Epochs)-1], l.Epochs[0]
		spent := 0.0
		for _, e := range l.Epochs {
			spent += e.Seconds
			if d := float64(e.MeanDice); d > float64(best.MeanDice) || math.IsNaN(float64(best.MeanDice)) {
				best = e
			}
		}
		fmt.Fprintf(t, "last\tepoch %d, loss %.4g, validation %.4g, pseudo Dice %.4g, learning rate %.3g\n",
			last.Epoch, float64(last.TrainLoss), float64(last.ValLoss), float64(last.MeanDice), last.Rate)
		fmt.Fprintf(t, "best\tepoch %d, pseudo Dice %.4g\n", best.Epoch, float64(best.MeanDice))
		fmt.Fprintf(t, "time\t%s\n", of(spent))
	}
	return t.Flush()
}
