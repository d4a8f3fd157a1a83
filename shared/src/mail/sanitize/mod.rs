//! Makes the HTML of strangers safe to show.
