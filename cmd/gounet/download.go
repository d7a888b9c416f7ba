package main

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // the sums that the bucket's data are published with
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// downloadFlags are the flags of `gounet download`.
type downloadFlags struct {
	task, output, url, md5 string
	keep                   bool
}

// msdTask is a data set of the Medical Segmentation Decathlon in its public bucket.
type msdTask struct{ name, md5 string }

// msdBucket and msdTasks are those of MONAI's DecathlonDataset.
const msdBucket = "https://msd-for-monai.s3-us-west-2.amazonaws.com/"

func msdTasks() map[string]msdTask {
	return map[string]msdTask{
		"01": {"Task01_BrainTumour", "240a19d752f0d9e9101544901065d872"},
		"02": {"Task02_Heart", "06ee59366e1e5124267b774dbd654057"},
		"03": {"Task03_Liver", "a90ec6c4aa7f6a3d087205e23d4e6397"},
		"04": {"Task04_Hippocampus", "9d24dba78a72977dbd1d2e110310f31b"},
		"05": {"Task05_Prostate", "35138f08b1efaef89d7424d2bcc928db"},
		"06": {"Task06_Lung", "8afd997733c7fc0432f71255ba4e52dc"},
		"07": {"Task07_Pancreas", "4f7080cfca169fa8066d17ce6eb061e4"},
		"08": {"Task08_HepaticVessel", "641d79e80ec66453921d997fbf12a29c"},
		"09": {"Task09_Spleen", "410d4a301da4e5b2f6f86ec3ddba524e"},
		"10": {"Task10_Colon", "bad7a188931dc2f6acf72b08eb6202d0"},
	}
}

func newDownload(a *app) *cobra.Command {
	var f downloadFlags
	cmd := &cobra.Command{
		Use:   "download --task NN",
		Short: "fetch a data set of the Medical Segmentation Decathlon",
		Long: `download fetches a task of the Medical Segmentation Decathlon, 01 to 10, from its
public bucket, checks its size and sum, and unpacks it. A download that was
interrupted goes on where it stopped. The data are their owners', most of them under
CC-BY-SA 4.0: see the dataset.json of the task.`,
		Example: `  gounet download --task 04
  gounet run Task04_Hippocampus`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), a)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.task, "task", "", "`number` of the task: 01 to 10")
	flags.StringVar(&f.output, "output", ".", "`folder` in which the task's folder is made")
	flags.StringVar(&f.url, "url", msdBucket, "`address` of the folder with the tasks' .tar files")
	flags.StringVar(&f.md5, "md5", "", "`sum` of the .tar file at another --url; that of the task if not given")
	flags.BoolVar(&f.keep, "keep", false, "keep the .tar file")
	return cmd
}

func (f *downloadFlags) run(ctx context.Context, a *app) error {
	task, ok := msdTasks()[fmt.Sprintf("%02s", f.task)]
	if !ok {
		return usagef("--task %q: wanted 01 to 10", f.task)
	}
	if err := checkOutput("--output", f.output); err != nil {
		return err
	}
	task.md5 = cmp.Or(strings.ToLower(f.md5), task.md5)
	folder := filepath.Join(f.output, task.name)
	if _, err := os.Stat(folder); err == nil {
		fmt.Fprintf(a.out, "%s is there already\n", folder)
		return nil
	}
	if err := os.MkdirAll(f.output, 0o777); err != nil {
		return err
	}
	p := a.progressOf()
	defer p.wait()
	file := folder + ".tar"
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := fetchFile(ctx, p, strings.TrimSuffix(f.url, "/")+"/"+task.name+".tar", file, task.md5); err != nil {
			return err
		}
	}
	if err := untar(ctx, p, file, f.output, task.name); err != nil {
		return fmt.Errorf("%s: %w: remove the file to fetch it again", file, err)
	}
	if !f.keep {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.out, "downloaded %s\n", folder)
	return nil
}

const (
	mebibyte = 1 << 20
	tries    = 5 // of a connection that breaks
)

// fetchFile fetches an address into file. What is there of file.part is kept, and the
// rest asked for; the file has its name when its MD5 sum is right.
func fetchFile(ctx context.Context, p *progress, url, file, sum string) error {
	part := file + ".part"
	out, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // closed below where that matters
	h := md5.New()                     //nolint:gosec // see the import
	done, err := io.Copy(h, out)
	if err != nil {
		return err
	}
	d := &fetch{url: url, out: out, hash: h, done: done}
	for try := 1; ; try++ {
		err := d.rest(ctx, p)
		if err == nil {
			break
		}
		if ctx.Err() != nil || try == tries || errors.Is(err, errRefused) {
			if d.done == 0 {
				return errors.Join(err, out.Close(), os.Remove(part)) // nothing is there
			}
			return fmt.Errorf("%w: what is there is kept in %s, the same command goes on", err, part)
		}
		p.print("note      %v: trying again", err)
		select {
		case <-time.After(time.Duration(try) * time.Second):
		case <-ctx.Done():
		}
	}
	if err := errors.Join(out.Sync(), out.Close()); err != nil {
		return err
	}
	if have := hex.EncodeToString(h.Sum(nil)); have != sum {
		return errors.Join(fmt.Errorf("%s: MD5 sum %s, wanted %s: it is damaged or another file, and removed: try again", url, have, sum), os.Remove(part))
	}
	return os.Rename(part, file)
}

// mebibytes counts one that was begun.
func mebibytes(bytes int64) int { return int((bytes + mebibyte - 1) / mebibyte) }

// errRefused is in the chain of answers that asking again does not change.
var errRefused = errors.New("the server refused")

// fetch is a file on its way.
type fetch struct {
	url  string
	out  *os.File
	hash hash.Hash
	done int64 // bytes that are there and in the sum
}

// rest fetches what is missing.
func (d *fetch) rest(ctx context.Context, p *progress) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return err
	}
	if d.done > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.done))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	total, known := resp.ContentLength+d.done, resp.ContentLength >= 0
	switch {
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && d.done > 0:
		return nil // all is there: the sum decides
	case resp.StatusCode == http.StatusOK && d.done > 0: // it begins anew
		total -= d.done
		d.done = 0
		d.hash.Reset()
		if err := d.out.Truncate(0); err != nil {
			return err
		}
	case resp.StatusCode == http.StatusPartialContent && d.done > 0:
		if from := resp.Header.Get("Content-Range"); !strings.HasPrefix(from, fmt.Sprintf("bytes %d-", d.done)) {
			return fmt.Errorf("%s: %w: range %q, wanted from byte %d", d.url, errRefused, from, d.done)
		}
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %w: %s", d.url, errRefused, resp.Status)
	}
	if _, err := d.out.Seek(d.done, io.SeekStart); err != nil {
		return err
	}
	t := p.start("download", "MiB", mebibytes(max(total, d.done)))
	defer t.end()
	buffer := make([]byte, mebibyte)
	for {
		n, err := resp.Body.Read(buffer)
		if n > 0 {
			if _, err := d.out.Write(buffer[:n]); err != nil {
				return err
			}
			d.hash.Write(buffer[:n])
			d.done += int64(n)
			t.set(mebibytes(d.done), "")
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if known && d.done != total {
		return fmt.Errorf("%s: %d of %d bytes came: %w", d.url, d.done, total, io.ErrUnexpectedEOF)
	}
	return nil
}

// untar unpacks the folder name of a tar file into dir: plain files and folders, none
// of whose names leads out of it. The folder has its name when it is whole.
func untar(ctx context.Context, p *progress, file, dir, name string) (err error) {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // nothing was written
	temp, err := os.MkdirTemp(dir, "."+name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	t := p.start("unpack", "files", 0)
	defer t.end()
	r := tar.NewReader(in)
	for n := 0; ; n++ {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if err := unpackEntry(r, h, temp); err != nil {
			return err
		}
		t.set(n+1, "")
	}
	return os.Rename(filepath.Join(temp, name), filepath.Join(dir, name))
}

func unpackEntry(r io.Reader, h *tar.Header, dir string) error {
	name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
	if name == "" || strings.HasPrefix(filepath.Base(name), "._") { // what tar on macOS leaves beside each file
		return nil
	}
	if !filepath.IsLocal(filepath.FromSlash(name)) || strings.Contains(name, `\`) {
		return fmt.Errorf("entry %.100q leads out of the folder", h.Name)
	}
	to := filepath.Join(dir, filepath.FromSlash(name))
	switch h.Typeflag {
	case tar.TypeDir:
		return os.MkdirAll(to, 0o777)
	case tar.TypeReg:
	case tar.TypeXGlobalHeader:
		return nil
	default:
		return fmt.Errorf("entry %.100q is neither a file nor a folder", h.Name)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = io.CopyN(out, r, h.Size)
	return errors.Join(err, out.Close())
}
