package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/web"
)

// What `make demo` leaves, and a scan of its data set.
const (
	demoRuns = "demo/*/fold_*/" + checkpoint.WeightsFile
	demoScan = "testdata/hippocampus/imagesTr/*.nii.gz"
	demoName = "hippocampus"
)

// pageMissing is why the page is not in this program, "" if it is.
func pageMissing() string {
	if _, err := web.Files(); err != nil {
		return strings.TrimPrefix(err.Error(), "web: ")
	}
	return ""
}

// inBrowser says how the demo's model is used in a browser, and what is missing for that.
func inBrowser(built bool) string {
	const command = "  gounet serve --demo     # then open http://localhost:8080\n"
	if built {
		return "or in a browser, in this folder:\n" + command
	}
	return "or in a browser, in this folder; the page is not built into gounet yet, which takes node and npm:\n  make web && make build\n" + command
}

// demoModels makes a folder of models with the one that make demo has trained.
func demoModels(data string) (string, error) {
	runs, _ := filepath.Glob(demoRuns) // the pattern is right
	if len(runs) == 0 {
		return "", fmt.Errorf("--demo: there is no %s here: get the project's source, run make demo in its folder, and start gounet serve --demo there", demoRuns)
	}
	m, err := checkpoint.Open(filepath.Dir(runs[0]))
	if err != nil {
		return "", err
	}
	dir := filepath.Join(data, "demo")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return dir, checkpoint.Save(filepath.Join(dir, demoName+checkpoint.Extension), m)
}

// submitDemo uploads a scan and submits it, as anybody could, where there is no job yet.
func submitDemo(ctx context.Context, address string) error {
	f := jobsFlags{server: address}
	var have api.JobList
	if err := f.call(ctx, http.MethodGet, "/jobs?limit=1", nil, &have); err != nil || len(have.Jobs) > 0 {
		return err
	}
	scans, _ := filepath.Glob(demoScan) // the pattern is right
	if len(scans) == 0 {
		return fmt.Errorf("there is no scan %s: start it in the folder of the project", demoScan)
	}
	b, err := os.ReadFile(scans[0])
	if err != nil {
		return err
	}
	answer, err := f.request(ctx, http.MethodPost, "/uploads?name="+filepath.Base(scans[0]), nil, bytes.NewReader(b))
	if err != nil {
		return err
	}
	var u api.Upload
	if err := errors.Join(json.NewDecoder(answer.Body).Decode(&u), answer.Body.Close()); err != nil {
		return err
	}
	var j api.Job
	submit := api.Submit{Model: demoName, Inputs: []api.Input{{Upload: u.ID}}, Formats: []string{"nifti", "seg.nrrd"}, Statistics: true, Preview: true}
	return f.call(ctx, http.MethodPost, "/jobs", submit, &j)
}
