package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/epcclogs/epcclogs"
)

// export appends to the file at path the logs of an integration that are not in
// it yet. A new file gets only logs created at since or later. It returns how many
// records were in the file before and how many are now. report is called at the
// beginning and after each page, with the records in the file and those that are
// left in the list, 0 where that is not known.
func export(ctx context.Context, pager *epcclogs.Pager[epcclogs.IntegrationLog], id, path string, form format,
	since time.Time, report func(records, left int),
) (before, records int, err error) {
	file, err := openFile(path, id, form)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, file.close()) }()
	before = file.place.Records
	report(before, 0)

	if file.place.Cursor == "" { // a later time would leave a gap
		file.place.Since = since
		pager.Since(since)
	}
	offset := pager.Resume(file.place.Cursor).Offset()
	for page, err := range pager.Pages(ctx) {
		if file.place.Cursor != "" && errors.Is(err, epcclogs.ErrInvalidArgument) {
			err = file.unrelated(err.Error())
		}
		if err != nil {
			return before, file.place.Records, err
		}
		if err := file.append(page.Data, pager.Cursor()); err != nil {
			return before, file.place.Records, fmt.Errorf("%s: %w", path, err)
		}
		// What was added in front is read last. The offset then stays where it is,
		// and does not tell how much is left. Neither does the length of the list if
		// old records are left out.
		left := 0
		if page.Results != nil && file.place.Since.IsZero() && pager.Offset() > offset {
			left = max(0, page.Results.Total-pager.Offset())
		}
		offset = pager.Offset()
		report(file.place.Records, left)
	}
	if err := file.finish(pager.Cursor()); err != nil {
		return before, file.place.Records, fmt.Errorf("%s: %w", path, err)
	}
	return before, file.place.Records, nil
}
