# test_db_faults makes every allocation fail in turn.
if(TARGET test_db_faults)
  target_link_options(test_db_faults PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
endif()
