package browsertest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// ErrNoBrowser is in the chain of the error where no Chromium is installed.
var ErrNoBrowser = errors.New("there is no Chromium: install one (Debian: apt-get install chromium), or name it in CHROME")

// names that a Chromium has in the PATH.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}

// Find is the path of the browser: $CHROME, or else the first of its usual names.
func Find() (string, error) {
	if named := os.Getenv("CHROME"); named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("browsertest: CHROME: %w: %w", err, ErrNoBrowser)
		}
		return path, nil
	}
	for _, n := range names {
		if path, err := exec.LookPath(n); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("browsertest: %w", ErrNoBrowser)
}

// flags of a browser that has WebGPU by software where there is no GPU, opens
// nothing but the page, and gives a page without a window its full time.
var flags = []string{
	"--headless=new", "--enable-unsafe-webgpu", "--enable-unsafe-swiftshader", "--disable-gpu-watchdog",
	"--no-first-run", "--no-default-browser-check", "--disable-sync", "--disable-extensions", "--disable-quic",
	"--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-dev-shm-usage",
	"--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
}

// browser is a process with a folder of its own.
type browser struct {
	command *exec.Cmd
	folder  string
	said    tail
	ended   chan struct{} // closed when the process has ended
}

// start opens url.
func start(path, url string) (*browser, error) {
	folder, err := os.MkdirTemp("", "browsertest")
	if err != nil {
		return nil, fmt.Errorf("browsertest: %w", err)
	}
	b := &browser{folder: folder, ended: make(chan struct{})}
	args := append([]string{"--user-data-dir=" + filepath.Join(folder, "profile")}, flags...)
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // Chromium's sandbox refuses root
	}
	b.command = exec.Command(path, append(args, url)...)
	b.command.Env = append(os.Environ(), "TMPDIR="+folder)
	b.command.Stdout, b.command.Stderr = &b.said, &b.said
	b.command.WaitDelay = time.Second
	ownGroup(b.command)
	if err := b.command.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("browsertest: %s: %w", path, err), os.RemoveAll(folder))
	}
	go func() {
		b.command.Wait() //nolint:errcheck // that it has ended is what is waited for
		close(b.ended)
	}()
	return b, nil
}

// stop ends the browser with its children and removes its folder.
func (b *browser) stop() error {
	endGroup(b.command)
	<-b.ended
	// Children that are on their way out may still write.
	var err error
	for range 1500 { // half a minute, where the machine is busy
		if err = os.RemoveAll(b.folder); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("browsertest: %w", err)
}

// died is an error with the last that the browser said.
func (b *browser) died(why string) error {
	if said := b.said.String(); said != "" {
		return fmt.Errorf("browsertest: %s; %s said last:\n%s", why, b.command.Path, said)
	}
	return fmt.Errorf("browsertest: %s", why)
}

// tail keeps the last lines that are written to it.
type tail struct {
	sync.Mutex
	b []byte
}

const tailBytes = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.Lock()
	defer t.Unlock()
	t.b = append(t.b, p...)
	if extra := len(t.b) - tailBytes; extra > 0 {
		t.b = bytes.Clone(t.b[extra:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.Lock()
	defer t.Unlock()
	return strings.TrimSpace(string(t.b))
}
