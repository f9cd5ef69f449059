-- The whole dump that a part is inside of; null for what is part of none, or of none that is whole.
alter table netdump.dumps add column within text;
