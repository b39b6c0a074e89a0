"""From a scan to what the systems read: windows, masks, planes, mirrors, quality."""
