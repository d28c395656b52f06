package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/epcclogs/epcclogs"
)

// export writes the logs of an integration to the file at path, from where it
// ends. It returns how many records were in the file before and how many are now.
// report is called at the beginning and after each page; a total of 0 is not
// known.
func export(ctx context.Context, client *epcclogs.Client, id, path string, form format, report func(records, total int),
) (before, records int, err error) {
	// Only the owner may read it: the bodies may hold personal data.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()

	before, size, err := form.complete(file, id)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", path, err)
	}
	records = before
	if err := file.Truncate(size); err != nil {
		return before, records, err
	}
	if _, err := file.Seek(size, io.SeekStart); err != nil {
		return before, records, err
	}
	report(records, 0)

	w := bufio.NewWriter(file)
	if size == 0 {
		if _, err := w.WriteString(form.header); err != nil {
			return before, records, err
		}
	}
	for page, err := range client.IntegrationLogs(id, &epcclogs.ListOptions{Offset: records}).Pages(ctx) {
		if err != nil {
			return before, records, err
		}
		if err := form.write(w, page.Data); err != nil {
			return before, records, err
		}
		if err := w.Flush(); err != nil {
			return before, records, err
		}
		records += len(page.Data)
		total := 0
		if page.Results != nil {
			total = page.Results.Total
		}
		report(records, total)
	}
	if err := w.Flush(); err != nil { // the header, where there are no records
		return before, records, err
	}
	return before, records, file.Sync()
}

// complete reads a file from its beginning and returns the number of complete
// records in it and the size of the part that they fill, header included. What
// follows was cut while it was written. A file that this program has not written
// for the integration is an error.
func (f format) complete(file io.Reader, id string) (records int, size int64, err error) {
	r := bufio.NewReader(file)
	begin := f.header
	if begin == "" {
		begin = f.begin
	}
	for {
		record, cut, err := f.next(r)
		if err != nil {
			return 0, 0, err
		}
		n := min(len(begin), len(record))
		if string(record[:n]) != begin[:n] {
			return 0, 0, fmt.Errorf("not an export of this format (byte %d); choose another file", size)
		}
		whole := !cut || f.header == "" && json.Valid(record) // the newline alone may be missing
		if !whole {
			return records, size, nil
		}
		if size > 0 || f.header == "" {
			of, err := f.integration(record)
			if err != nil {
				return 0, 0, fmt.Errorf("not an export of this format (byte %d: %w); choose another file", size, err)
			}
			if of != "" && of != id {
				return 0, 0, fmt.Errorf("holds logs of integration %s; choose another file", of)
			}
			if cut {
				return records, size, nil
			}
			records++
		}
		size += int64(len(record))
		begin = f.begin
	}
}
