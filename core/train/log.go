package train

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gounet/gounet/internal/atomicfile"
)

// LogFile is the log of a run folder, a JSON line an epoch (see Epoch).
const LogFile = "log.jsonl"

// ProgressFile is the picture of the curves in a run folder.
const ProgressFile = "progress.svg"

// SettingsFile has every value that a run used, as JSON.
const SettingsFile = "settings.json"

// writeSettings keeps the settings in the run folder.
func (t *trainer) writeSettings() error {
	if !t.leads() {
		return nil
	}
	b, err := json.MarshalIndent(t.Settings, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(t.Dir, SettingsFile), func(w io.Writer) error {
		_, err := w.Write(append(b, '\n'))
		return err
	})
}

// writeLogs adds an epoch to the log, the events and the picture.
func (t *trainer) writeLogs(e Epoch) error {
	if !t.leads() {
		return nil
	}
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(t.Dir, LogFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(b, '\n')); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := t.events(e); err != nil {
		return err
	}
	return t.drawProgress()
}

// rewriteLogs takes back what a killed run logged after its last checkpoint.
func (t *trainer) rewriteLogs() error {
	if err := os.RemoveAll(filepath.Join(t.Dir, eventsFolder)); err != nil {
		return err
	}
	for _, e := range t.state.Log {
		if err := t.events(e); err != nil {
			return err
		}
	}
	return atomicfile.Write(filepath.Join(t.Dir, LogFile), func(w io.Writer) error {
		for _, e := range t.state.Log {
			b, err := json.Marshal(e)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "%s\n", b); err != nil {
				return err
			}
		}
		return nil
	})
}

// drawProgress draws loss and Dice over the epochs.
func (t *trainer) drawProgress() error {
	return atomicfile.Write(filepath.Join(t.Dir, ProgressFile), func(w io.Writer) error {
		return DrawProgress(w, t.state.Log)
	})
}

// ReadLog reads the log of a run folder.
func ReadLog(dir string) ([]Epoch, error) {
	f, err := os.Open(filepath.Join(dir, LogFile))
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	defer f.Close()
	var log []Epoch
	d := json.NewDecoder(f)
	for {
		var e Epoch
		switch err := d.Decode(&e); err {
		case nil:
			log = append(log, e)
		case io.EOF:
			return log, nil
		default:
			return nil, fmt.Errorf("train: %s: line %d: %w", f.Name(), len(log)+1, err)
		}
	}
}
