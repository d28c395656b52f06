package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/epcclogs/epcclogs"
)

// exportFile is a file with logs and, beside it, the file with its place.
type exportFile struct {
	path  string
	form  format
	file  *os.File // nil as long as there is none
	place place
}

// place says up to where a file is right and what follows in the list.
type place struct {
	Version     int       `json:"version"`
	Integration string    `json:"integration"`
	Format      string    `json:"format"`
	Since       time.Time `json:"since,omitzero"` // older records are left out
	Cursor      string    `json:"cursor"`
	Records     int       `json:"records"`
	Size        int64     `json:"size"`    // of the file with these records
	Tail        string    `json:"tail"`    // hash of the bytes before Size
	Writing     bool      `json:"writing"` // more was being written: to be removed
}

const (
	placeVersion = 1
	tailSize     = 4096 // bytes that are compared
)

func (f *exportFile) placePath() string { return f.path + ".cursor" }

// openFile opens the file at path to go on with it. Where there is none, nothing
// is made before append or finish.
func openFile(path, id string, form format) (*exportFile, error) {
	f := &exportFile{
		path:  path,
		form:  form,
		place: place{Version: placeVersion, Integration: id, Format: form.name},
	}
	// Standard output, also as a link, or a pipe cannot be read, cut and gone on with.
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file, which an export needs to go on where it was stopped", path)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		f.file = file
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := f.goOn(id); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// goOn reads the place, checks that the file belongs to it, and removes from the
// file what follows the place.
func (f *exportFile) goOn(id string) error {
	size := int64(0)
	if f.file != nil {
		info, err := f.file.Stat()
		if err != nil {
			return err
		}
		size = info.Size()
	}
	text, err := os.ReadFile(f.placePath())
	if errors.Is(err, fs.ErrNotExist) {
		if size > 0 {
			return fmt.Errorf("%s was not written by this program, or %s is lost; choose another file", f.path, f.placePath())
		}
		return nil
	}
	if err != nil {
		return err
	}
	var saved place
	if err := json.Unmarshal(text, &saved); err != nil {
		return f.unrelated("the cursor file cannot be read: " + err.Error())
	}
	if why := saved.mismatch(id, f.form, size); why != "" {
		return f.unrelated(why)
	}
	if f.file != nil {
		tail, err := f.tail(saved.Size)
		if err != nil {
			return err
		}
		if tail != saved.Tail {
			return f.unrelated("the end was changed by another program")
		}
		if err := f.file.Truncate(saved.Size); err != nil {
			return err
		}
	}
	f.place = saved
	return nil
}

// mismatch says why a place is not that of a file of the given size for logs of
// the integration, or returns "".
func (p place) mismatch(id string, form format, size int64) string {
	switch {
	case p.Version != placeVersion:
		return fmt.Sprintf("the cursor file has version %d, and this program reads version %d", p.Version, placeVersion)
	case p.Integration != id:
		return "they hold logs of integration " + p.Integration
	case p.Format != form.name:
		return fmt.Sprintf("the format is %s, not %s", p.Format, form.name)
	case p.Size < 0 || size < p.Size:
		return fmt.Sprintf("%d bytes were written, and %d are there", p.Size, size)
	case size > p.Size && !p.Writing:
		return "something was added by another program"
	}
	return ""
}

func (f *exportFile) unrelated(why string) error {
	return fmt.Errorf("%s and %s do not belong together: %s; choose another file, or delete both to begin again",
		f.path, f.placePath(), why)
}

// append writes logs, and then that cursor follows them. Once it returns without
// an error, both are on the disk.
func (f *exportFile) append(logs []epcclogs.IntegrationLog, cursor string) error {
	if f.file == nil {
		// Only the owner may read it: the bodies may hold personal data.
		file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		f.file = file
	}
	if !f.place.Writing { // first say that what follows may be removed
		f.place.Writing = true
		if err := f.save(); err != nil {
			return err
		}
	}
	var text bytes.Buffer
	if f.place.Size == 0 {
		text.WriteString(f.form.header)
	}
	if err := f.form.write(&text, logs); err != nil {
		return err
	}
	if _, err := f.file.WriteAt(text.Bytes(), f.place.Size); err != nil {
		return err
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.place.Size += int64(text.Len())
	f.place.Records += len(logs)
	f.place.Cursor = cursor
	return f.save()
}

// finish says that the file is whole. A list without records gets a file too.
func (f *exportFile) finish(cursor string) error {
	if f.place.Size == 0 {
		if err := f.append(nil, cursor); err != nil {
			return err
		}
	}
	if !f.place.Writing && f.place.Cursor == cursor {
		return nil
	}
	f.place.Cursor, f.place.Writing = cursor, false
	return f.save()
}

// save replaces the place on the disk, so that it is at any moment the old or
// the new one.
func (f *exportFile) save() error {
	tail, err := f.tail(f.place.Size)
	if err != nil {
		return err
	}
	f.place.Tail = tail
	text, err := json.Marshal(f.place)
	if err != nil {
		return err
	}
	part := f.placePath() + ".new"
	file, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(part, f.placePath()); err != nil {
		return err
	}
	return syncDir(filepath.Dir(f.path))
}

// syncDir returns when the names in a directory are on the disk, those of new files
// included.
func syncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil // it has no such call for directories
	}
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// tail returns a hash of the last bytes before size.
func (f *exportFile) tail(size int64) (string, error) {
	end := make([]byte, min(size, tailSize))
	if len(end) > 0 {
		if _, err := f.file.ReadAt(end, size-int64(len(end))); err != nil {
			return "", err
		}
	}
	sum := sha256.Sum256(end)
	return hex.EncodeToString(sum[:]), nil
}

func (f *exportFile) close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}
