# step(<command>...): runs it; the test fails where it fails.
if(SANITIZE)
  set(sanitize "-fsanitize=${SANITIZE}")  # a consumer of a sanitized static library must be sanitized too
endif()

function(step)
  execute_process(COMMAND ${ARGV} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()
